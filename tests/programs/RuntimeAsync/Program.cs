using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

// Methods that the runtime itself suspends (.NET 10, DOTNET_RuntimeAsync=1). No compiler here writes such methods, so each is written as one
// that returns what its task would give (`Unsafe.As` is a no-operation that pleases the compiler), and after compiling its
// MethodImplOptions.Async (0x2000) is set in the metadata: `set_async.py`, for the methods of Suspended.
namespace RuntimeAsync
{
    public static class Suspended
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        public static Task<string> Outer(int n)
        {
            var kept = "kept " + n;
            var inner = AsyncHelpers.Await<string>(Middle(n + 1)); // @Outer
            return Unsafe.As<Task<string>>(kept + inner);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static Task<string> Middle(int n)
        {
            var first = AsyncHelpers.Await<string>(Program.Done);
            var second = AsyncHelpers.Await<string>(Inner(first)); // @Middle
            return Unsafe.As<Task<string>>(second + n);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static Task<string> Deep(int n)
        {
            return n == 0 ? Unsafe.As<Task<string>>(AsyncHelpers.Await<string>(Program.Deeper.Task)) : Unsafe.As<Task<string>>(n + AsyncHelpers.Await<string>(Deep(n - 1))); // @Deep
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static Task<string> Inner(string text)
        {
            return Unsafe.As<Task<string>>(text + AsyncHelpers.Await<string>(Program.Never.Task)); // @Inner
        }
    }

    public static class Program
    {
        public static readonly TaskCompletionSource<string> Never = new TaskCompletionSource<string>();
        public static readonly Task<string> Done = Task.FromResult("done");
        private static readonly List<object> Keep = new List<object>();

        private static async Task<string> Classic() { return await Suspended.Outer(10); }

        public static readonly TaskCompletionSource<string> Deeper = new TaskCompletionSource<string>();
        private static async Task Both() { await Task.WhenAll(Suspended.Deep(20), Suspended.Deep(20)); }

        // what only later runtimes have: Task.WhenEach of 9.0, pipes in the shared framework
        private static async Task Each() { await foreach (var one in Task.WhenEach(Part(Never), Part(Deeper), Done)) GC.KeepAlive(one); }
        private static async Task<string> Part(TaskCompletionSource<string> source) { return await source.Task; }
        private static async Task EachOfNone() { await foreach (var one in Task.WhenEach(Done, Task.FromResult("too"))) GC.KeepAlive(one); await Never.Task; }
        private static readonly Pipe Empty = new Pipe(), Full = new Pipe(new PipeOptions(pauseWriterThreshold: 100, resumeWriterThreshold: 50));
        private static async Task ReadPipe() { await Empty.Reader.ReadAsync(default); }
        private static async Task WritePipe() { await Full.Writer.WriteAsync(new byte[1000], default); }

        public static void Main(string[] args)
        {
            Keep.Add(Suspended.Outer(1));
            Keep.Add(Classic());
            Keep.Add(Both()); Keep.Add(Each()); Keep.Add(EachOfNone()); Keep.Add(ReadPipe()); Keep.Add(WritePipe());
            Thread.Sleep(300);
            GC.Collect();
            Console.WriteLine("FACTS {\"program\": \"RuntimeAsync\"}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id); Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
