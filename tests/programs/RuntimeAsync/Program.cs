using System;
using System.Collections.Generic;
using System.Diagnostics;
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

        public static void Main(string[] args)
        {
            Keep.Add(Suspended.Outer(1));
            Keep.Add(Classic());
            Thread.Sleep(300);
            GC.Collect();
            Console.WriteLine("FACTS {\"program\": \"RuntimeAsync\"}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id); Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
