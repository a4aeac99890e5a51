using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.IO.Pipes;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;
using System.Threading.Tasks.Sources;

// Every shape in which an async method can wait. Each shape has an outermost method Xxx.Run; the awaits that matter carry the mark
// `// @Xxx.Method`, by which the test finds their lines.
namespace Asyncs
{
    public static class Chain
    {
        public static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Task.Yield(); await Middle(1); /* @Chain.Run */ }
        private static async Task<int> Middle(int n) { var kept = new byte[10]; var inner = await Inner<string>("x" + n); /* @Chain.Middle */ GC.KeepAlive(kept); return inner; }
        private static async Task<int> Inner<T>(T t) { try { return await Never.Task; /* @Chain.Inner */ } finally { GC.KeepAlive(t); } }
    }

    public static class ValueTasks
    {
        private static readonly TaskCompletionSource<string> Never = new TaskCompletionSource<string>();
        public static async Task Run() { await Middle(); }
        private static async ValueTask Middle() { await Inner().ConfigureAwait(false); }
        private static async ValueTask<string> Inner() { return await Never.Task.ConfigureAwait(false); }
    }

#if NET6_0_OR_GREATER
    public static class Pooled
    {
        private static readonly TaskCompletionSource<string> Never = new TaskCompletionSource<string>();
        public static async Task Run() { await Middle(); }
        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))] private static async ValueTask Middle() { await Inner(); }
        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))] private static async ValueTask<string> Inner() { return await Never.Task; }
    }

    public static class Timeouts
    {
        public static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Never.Task.WaitAsync(TimeSpan.FromHours(3)); }
    }

    public static class Ticker
    {
        public static async Task Run() { using var timer = new PeriodicTimer(TimeSpan.FromHours(5)); while (await timer.WaitForNextTickAsync()) { } }
    }

    public static class ParallelLoop
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Parallel.ForEachAsync(new[] { 1, 2 }, new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (_, token) => { await Never.Task; }); }
    }
#endif

    public static class Iterators
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await foreach (var n in Doubled().ConfigureAwait(false)) { /* @Iterators.Run */ GC.KeepAlive(n); } }
        private static async IAsyncEnumerable<int> Doubled() { await foreach (var n in Numbers()) yield return 2 * n; }
        private static async IAsyncEnumerable<int> Numbers() { yield return 1; yield return await Never.Task; /* @Iterators.Numbers */ }
    }

    public static class Abandoned  // an iterator that stands at a yield: nobody asks it for more
    {
        public static IAsyncEnumerator<int> Kept;
        public static async Task Run() { Kept = Numbers().GetAsyncEnumerator(); await Kept.MoveNextAsync(); }
        private static async IAsyncEnumerable<int> Numbers() { await Task.Yield(); yield return 1; yield return 2; }
    }

    public sealed class Source : IValueTaskSource<int>
    {
        private ManualResetValueTaskSourceCore<int> core;
        public ValueTask<int> Wait() => new ValueTask<int>(this, core.Version);
        public int GetResult(short token) => core.GetResult(token);
        public ValueTaskSourceStatus GetStatus(short token) => core.GetStatus(token);
        public void OnCompleted(Action<object> continuation, object state, short token, ValueTaskSourceOnCompletedFlags flags) => core.OnCompleted(continuation, state, token, flags);
    }
    public static class Sources
    {
        private static readonly Source Signal = new Source();
        public static async Task Run() { await Signal.Wait(); }
    }

    public sealed class Gate { public List<Action> Waiting = new List<Action>(); public GateAwaiter GetAwaiter() => new GateAwaiter(this); }
    public readonly struct GateAwaiter : INotifyCompletion
    {
        private readonly Gate gate;
        public GateAwaiter(Gate g) { gate = g; }
        public bool IsCompleted => false;
        public void GetResult() { }
        public void OnCompleted(Action continuation) => gate.Waiting.Add(continuation);
    }
    public static class Custom
    {
        private static readonly Gate Closed = new Gate();
        public static async Task Run() { await Closed; }
    }

    public sealed class UnsafeGate : ICriticalNotifyCompletion
    {
        private Action waiting;
        public UnsafeGate GetAwaiter() => this;
        public bool IsCompleted => false;
        public void GetResult() { }
        public void OnCompleted(Action continuation) => throw new NotSupportedException();
        public void UnsafeOnCompleted(Action continuation) => waiting = continuation;
    }
    public static class CustomUnsafe
    {
        private static readonly UnsafeGate Closed = new UnsafeGate();
        public static async Task Run() { await Closed; }
    }

    public static class All
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Task.WhenAll(One(1), One(2), Two()); }
        private static async Task One(int n) { await Never.Task; GC.KeepAlive(n); }
        private static async Task Two() { await Task.Delay(TimeSpan.FromHours(2)); }
    }

    public static class AllOfInt
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { var all = await Task.WhenAll(One(1), One(2)); GC.KeepAlive(all); }
        private static async Task<int> One(int n) { return await Never.Task + n; }
    }

    public static class Any
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Task.WhenAny(One(1), One(2)); await Task.WhenAny(One(3), One(4), One(5)); }
        private static async Task One(int n) { await Never.Task; GC.KeepAlive(n); }
    }

    public static class Delays
    {
        public static async Task Run() { await Task.Delay(TimeSpan.FromMinutes(90)); }
        public static async Task RunForEver(CancellationToken token) { await Task.Delay(Timeout.Infinite, token); }
    }

    public static class Semaphores
    {
        public static readonly SemaphoreSlim Limit = new SemaphoreSlim(0, 3);
        public static async Task Run() { await Limit.WaitAsync(); }
        public static async Task RunWithTimeout(CancellationToken token) { await Limit.WaitAsync(TimeSpan.FromHours(1), token); }
    }

    public static class Channels
    {
        private static readonly Channel<int> Orders = Channel.CreateUnbounded<int>();
        private static readonly Channel<int> Single = Channel.CreateUnbounded<int>(new UnboundedChannelOptions { SingleReader = true });
        private static readonly Channel<int> Full = Channel.CreateBounded<int>(1);
        public static async Task Run() { await Orders.Reader.ReadAsync(); }
        public static async Task RunAll() { await foreach (var n in Single.Reader.ReadAllAsync()) GC.KeepAlive(n); }
        public static async Task RunWrite() { await Full.Writer.WriteAsync(1); await Full.Writer.WriteAsync(2); }
    }

    public static class Sockets
    {
        private static readonly TcpListener Listener = new TcpListener(IPAddress.Loopback, 0);
        private static TcpClient client, server;
        public static async Task Run()
        {
            Listener.Start();
            client = new TcpClient();
            var accepted = Listener.AcceptTcpClientAsync();
            await client.ConnectAsync(IPAddress.Loopback, ((IPEndPoint)Listener.LocalEndpoint).Port);
            server = await accepted;
            var buffer = new byte[100];
            await server.GetStream().ReadAsync(buffer, 0, 100);
        }
        public static async Task RunAccept() { var other = new TcpListener(IPAddress.Loopback, 0); other.Start(); await other.AcceptSocketAsync(); }
        public static async Task RunReader() { while (server == null) await Task.Delay(20); using var reader = new StreamReader(client.GetStream()); await reader.ReadLineAsync(); }
    }

    public sealed class Pump : SynchronizationContext
    {
        public readonly Queue<(SendOrPostCallback, object)> Posted = new Queue<(SendOrPostCallback, object)>();
        public override void Post(SendOrPostCallback d, object state) { lock (Posted) Posted.Enqueue((d, state)); }
    }
    public static class Context
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Inner(); }
        private static async Task Inner() { await Never.Task; }
    }
    public static class ContextDeadlock  // the classic one: the thread of the context blocks on what has to go on in the context
    {
        public static void Run() { Load().Wait(); }
        private static async Task<int> Load() { await Task.Delay(50); return 1; }
    }

    public static class Schedulers
    {
        public static readonly ConcurrentExclusiveSchedulerPair Pair = new ConcurrentExclusiveSchedulerPair();
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static Task Run() { var begun = new ManualResetEventSlim(); var all = Task.Factory.StartNew(() => { begun.Wait(); return Inner(); }, CancellationToken.None, TaskCreationOptions.None, Pair.ExclusiveScheduler).Unwrap(); begun.Set(); return all; } // Unwrap of a task that has ended gives the inner one
        private static async Task Inner() { await Never.Task; }
    }

    public static class Continued
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Never.Task.ContinueWith(First).ContinueWith(task => task.Result + 1); }
        private static int First(Task<int> done) => done.Result;
        public static Task RunAlone() => Never.Task.ContinueWith(Alone);
        private static void Alone(Task<int> done) { }
    }

    public static class Unwrapped
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await Task.Run(async () => { await Never.Task; }); }
        public static async Task RunUnwrap() { var begun = new ManualResetEventSlim(); var all = Task.Factory.StartNew(() => { begun.Wait(); return Inner(); }).Unwrap(); begun.Set(); await all; }
        private static async Task<int> Inner() { return await Never.Task; }
    }

    public static class Cancelled
    {
        public static readonly CancellationTokenSource Shutdown = new CancellationTokenSource();
        public static async Task Run()
        {
            var done = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            using (Shutdown.Token.Register(() => done.TrySetCanceled())) await done.Task;
        }
    }

    public static class Voids
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async void Run() { await Inner(); }
        private static async Task Inner() { await Never.Task; }
    }

    public static class Blocked
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static void RunResult() { GC.KeepAlive(Load(1).Result); }
        public static void RunWait() { Load(2).Wait(); }
        public static void RunGetResult() { Load(3).GetAwaiter().GetResult(); }
        public static void RunAll() { Task.WaitAll(Load(4), Load(5)); }
        private static async Task<int> Load(int n) { return await Deeper() + n; }
        private static async Task<int> Deeper() { return await Never.Task; }
    }

    public static class Working  // an async method that runs, in the middle of work that blocks its thread
    {
        public static async Task Run() { await Inner(); }
        private static async Task Inner() { await Task.Yield(); Work(); await Task.Delay(1); }
        [MethodImpl(MethodImplOptions.NoInlining)] private static void Work() { Thread.Sleep(Timeout.Infinite); }
    }

    public static class Shared
    {
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        private static readonly Lazy<Task<int>> Once = new Lazy<Task<int>>(Load);
        public static async Task Run() { await Task.WhenAll(User(), User(), User()); }
        private static async Task User() { await Once.Value; }
        private static async Task<int> Load() { return await Never.Task; }
    }

    public class Generic<T>
    {
        private readonly TaskCompletionSource<T> never = new TaskCompletionSource<T>();
        public async Task<T> Run() { return await never.Task; }
        public async Task<T> RunLocal()
        {
            async Task<T> Local() { return await never.Task; }
            return await Local();
        }
        public Func<Task<T>> RunLambda => async () => await never.Task;
    }

    public static class Ambient
    {
        private static readonly AsyncLocal<string> Name = new AsyncLocal<string>();
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { Name.Value = "request 7"; await Never.Task; }
    }

    public static class Disposing
    {
        private sealed class Slow : IAsyncDisposable { public async ValueTask DisposeAsync() { await Never.Task; } }
        private static readonly TaskCompletionSource<int> Never = new TaskCompletionSource<int>();
        public static async Task Run() { await using var slow = new Slow(); GC.KeepAlive(slow); }
    }

    public static class Pipes
    {
        private static readonly AnonymousPipeServerStream Server = new AnonymousPipeServerStream();
        public static async Task Run() { await Server.ReadAsync(new byte[10], 0, 10); }  // the stream blocks a pool thread
    }

    public static class Program
    {
        private static readonly List<object> Keep = new List<object>();
        private static void OnThread(string name, Action work, SynchronizationContext context = null)
        {
            new Thread(() => { SynchronizationContext.SetSynchronizationContext(context); work(); }) { IsBackground = true, Name = name }.Start();
        }

        public static void Main(string[] args)
        {
            ThreadPool.SetMinThreads(32, 32); // several of them block for ever
            Keep.Add(Chain.Run()); Keep.Add(ValueTasks.Run()); Keep.Add(Iterators.Run()); Keep.Add(Abandoned.Run()); Keep.Add(Sources.Run()); Keep.Add(Custom.Run()); Keep.Add(CustomUnsafe.Run());
            Keep.Add(All.Run()); Keep.Add(AllOfInt.Run()); Keep.Add(Any.Run()); Keep.Add(Delays.Run()); Keep.Add(Delays.RunForEver(Cancelled.Shutdown.Token)); Keep.Add(Semaphores.Run()); Keep.Add(Semaphores.RunWithTimeout(Cancelled.Shutdown.Token));
            Keep.Add(Channels.Run()); Keep.Add(Channels.RunAll()); Keep.Add(Channels.RunWrite()); Keep.Add(Sockets.Run()); Keep.Add(Sockets.RunAccept()); Keep.Add(Sockets.RunReader());
            Keep.Add(Schedulers.Run()); Keep.Add(Continued.Run()); Keep.Add(Continued.RunAlone()); Keep.Add(Unwrapped.Run()); Keep.Add(Unwrapped.RunUnwrap()); Keep.Add(Cancelled.Run()); Voids.Run();
            Keep.Add(Shared.Run()); var generic = new Generic<string>(); Keep.Add(generic.Run()); Keep.Add(generic.RunLocal()); Keep.Add(generic.RunLambda()); Keep.Add(Ambient.Run()); Keep.Add(Disposing.Run()); Keep.Add(Working.Run());
#if NET6_0_OR_GREATER
            Keep.Add(Pooled.Run()); Keep.Add(Timeouts.Run()); Keep.Add(Ticker.Run()); Keep.Add(ParallelLoop.Run());
#endif
            OnThread("context", () => { Keep.Add(Context.Run()); Thread.Sleep(Timeout.Infinite); }, new Pump());
            OnThread("deadlocked", ContextDeadlock.Run, new Pump());
            OnThread("blocked-result", Blocked.RunResult); OnThread("blocked-wait", Blocked.RunWait); OnThread("blocked-get-result", Blocked.RunGetResult); OnThread("blocked-all", Blocked.RunAll);
            for (int idle = 0; idle < 15; idle = ThreadPool.PendingWorkItemCount == 0 ? idle + 1 : 0) Thread.Sleep(100); // until all have come to their awaits
            GC.Collect();
            Console.WriteLine("FACTS {\"program\": \"Asyncs\"}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id); Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
