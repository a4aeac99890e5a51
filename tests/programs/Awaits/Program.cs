using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

// Async methods that will never go on by themselves, and why: circles, queues that nobody empties, promises that are lost or in somebody's
// collection, tasks that nobody starts, builders and awaiters of the program's own; and threads that wait for tasks themselves.
namespace Awaits
{
    public static class Deep { static readonly TaskCompletionSource<int> Gate = new TaskCompletionSource<int>(); public static async Task<int> Down(int n) { if (n == 0) return await Gate.Task; return 1 + await Down(n - 1); } }

    public static class Circles
    {
        static Task first, second, self; static readonly TaskCompletionSource<int> Go = new TaskCompletionSource<int>();
        public static void Run() { first = First(); second = Second(); self = Self(); Go.SetResult(1); }
        static async Task First() { await Go.Task; await second; }
        static async Task Second() { await Go.Task; await first; }
        static async Task Self() { await Go.Task; await self; }
        public static async Task Outside() { await Go.Task; await first; }
    }

    public sealed class Pump : SynchronizationContext { public readonly ConcurrentQueue<KeyValuePair<SendOrPostCallback, object>> Posted = new ConcurrentQueue<KeyValuePair<SendOrPostCallback, object>>(); public override void Post(SendOrPostCallback d, object state) => Posted.Enqueue(new KeyValuePair<SendOrPostCallback, object>(d, state)); }
    public sealed class Slow : TaskScheduler
    {
        readonly LinkedList<Task> work = new LinkedList<Task>();
        protected override IEnumerable<Task> GetScheduledTasks() => work;
        protected override void QueueTask(Task task) => work.AddLast(task);
        protected override bool TryExecuteTaskInline(Task task, bool queued) => false;
        public void RunOne() { var task = work.First.Value; work.RemoveFirst(); TryExecuteTask(task); }
    }
    public static class Queued
    {
        public static readonly Pump Pump = new Pump(); public static readonly Slow Slow = new Slow();
        static readonly TaskCompletionSource<int> Go = new TaskCompletionSource<int>();
        static readonly TaskCompletionSource<int> Late = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        public static async Task InContext() { await Task.Yield(); }
        public static async Task EndedInContext() { await Go.Task; }
        public static async Task InScheduler() { await Task.Yield(); }
        public static async Task InPool() { await Task.Yield(); }
        public static async Task EndedInPool() { await Late.Task.ConfigureAwait(false); }
        public static void Work() { }
        public static void Begin() { Go.SetResult(1); }
        public static void Release() { Late.SetResult(1); }
    }

    public sealed class Registry { public readonly Dictionary<string, TaskCompletionSource<string>> Pending = new Dictionary<string, TaskCompletionSource<string>>(); }
    public static class Promises
    {
        static readonly Registry Registry = new Registry(); static readonly TaskCompletionSource<int> Crowd = new TaskCompletionSource<int>(), Mine = new TaskCompletionSource<int>();
        public static async Task InDictionary() { var own = new TaskCompletionSource<string>(); Registry.Pending["a"] = own; await own.Task; }
        public static async Task Lost() { var own = new TaskCompletionSource<string>(); await own.Task; GC.KeepAlive(own); }
        public static async Task OfTimer() { using (var source = new CancellationTokenSource(TimeSpan.FromHours(1))) { var own = new TaskCompletionSource<string>(); using (source.Token.Register(state => ((TaskCompletionSource<string>)state).TrySetCanceled(), own)) await own.Task; } }
        public static async Task OfHandle() { var own = new TaskCompletionSource<bool>(); ThreadPool.RegisterWaitForSingleObject(new ManualResetEvent(false), (state, late) => ((TaskCompletionSource<bool>)state).TrySetResult(true), own, Timeout.Infinite, true); await own.Task; }
        static readonly Dictionary<int, TaskCompletionSource<string>> ByNumber = new Dictionary<int, TaskCompletionSource<string>>();
        public static async Task Numbered(int n) { if (!ByNumber.ContainsKey(n)) ByNumber[n] = new TaskCompletionSource<string>(); await ByNumber[n].Task; }
        public static async Task Crowded(int n) { await (n % 5 == 4 ? Mine : Crowd).Task; }
    }

    public static class Tasks
    {
        static readonly Task Never = new Task(() => Queued.Work());
        static readonly List<Task> Failed = new List<Task>();
        public static async Task NeverStarted() { await Never; }
        public static async Task OfChild() { await Task.Factory.StartNew(() => { Task.Factory.StartNew(() => Thread.Sleep(Timeout.Infinite), CancellationToken.None, TaskCreationOptions.AttachedToParent | TaskCreationOptions.LongRunning, TaskScheduler.Default); }, CancellationToken.None, TaskCreationOptions.None, TaskScheduler.Default); }
        public static void Fail() { for (int i = 0; i < 3; i++) Failed.Add(Throwing()); Failed.Add(Task.FromException(new ArgumentException())); GC.KeepAlive(Failed[3].Exception); Failed.Add(Task.FromCanceled(new CancellationToken(true))); }
        static async Task Throwing() { await Task.CompletedTask; throw new IOException(); }
    }

    public struct Static : ICriticalNotifyCompletion { public static Action Later; public Static GetAwaiter() => this; public bool IsCompleted => false; public void GetResult() { } public void OnCompleted(Action then) => Later = then; public void UnsafeOnCompleted(Action then) => Later = then; }
    public struct Listed : INotifyCompletion { public static readonly List<Action> Actions = new List<Action>(); public Listed GetAwaiter() => this; public bool IsCompleted => false; public void GetResult() { } public void OnCompleted(Action then) { int calls = 0; Actions.Add(() => { calls++; then(); }); } }
    public static class Awaiters { public static async Task OfStatic() { await new Static(); } public static async Task OfList() { await new Listed(); } }

    public sealed class Receiver : SocketAsyncEventArgs, ICriticalNotifyCompletion // as web servers have them
    {
        Action then;
        public Receiver GetAwaiter() => this;
        public bool IsCompleted => false;
        public int GetResult() => BytesTransferred;
        public void OnCompleted(Action action) => then = action;
        public void UnsafeOnCompleted(Action action) => then = action;
        protected override void OnCompleted(SocketAsyncEventArgs done) => then();
        public static async Task Run()
        {
            var listener = new TcpListener(IPAddress.Loopback, 0); listener.Start();
            var client = new TcpClient(); client.Connect((IPEndPoint)listener.LocalEndpoint);
            var receiver = new Receiver(); receiver.SetBuffer(new byte[8], 0, 8);
            client.Client.ReceiveAsync(receiver);
            await receiver;
            GC.KeepAlive(listener);
        }
    }

    [AsyncMethodBuilder(typeof(JobBuilder<>))] public sealed class Job<T> { public T Result; public Action Then; public JobAwaiter<T> GetAwaiter() => new JobAwaiter<T>(this); }
    public readonly struct JobAwaiter<T> : INotifyCompletion { readonly Job<T> job; public JobAwaiter(Job<T> j) { job = j; } public bool IsCompleted => false; public T GetResult() => job.Result; public void OnCompleted(Action then) => job.Then += then; }
    public struct JobBuilder<T>
    {
        public static JobBuilder<T> Create() => new JobBuilder<T> { Task = new Job<T>() };
        public Job<T> Task { get; private set; }
        public void SetResult(T result) { Task.Result = result; Task.Then?.Invoke(); }
        public void SetException(Exception error) { }
        public void SetStateMachine(IAsyncStateMachine machine) { }
        public void Start<M>(ref M machine) where M : IAsyncStateMachine => machine.MoveNext();
        public void AwaitOnCompleted<A, M>(ref A awaiter, ref M machine) where A : INotifyCompletion where M : IAsyncStateMachine { IAsyncStateMachine box = machine; awaiter.OnCompleted(box.MoveNext); }
        public void AwaitUnsafeOnCompleted<A, M>(ref A awaiter, ref M machine) where A : ICriticalNotifyCompletion where M : IAsyncStateMachine { IAsyncStateMachine box = machine; awaiter.OnCompleted(box.MoveNext); }
    }
    public static class Jobs { static readonly TaskCompletionSource<int> Gate = new TaskCompletionSource<int>(); public static async Task Run() { await Outer(); } static async Job<int> Outer() { return await Inner(); } static async Job<int> Inner() { return await Gate.Task; } }

    public static class Gone
    {
        static readonly TaskCompletionSource<int> Gate = new TaskCompletionSource<int>();
        public static async Task All() { await Task.WhenAll((Task)Gate.Task, Gate.Task, new TaskCompletionSource<int>().Task); }
        public static async Task Unwrap() { await Task.Run(async () => { await new TaskCompletionSource<int>().Task; }); }
    }

    public static class Channels
    {
        static readonly Channel<int> Full = Channel.CreateBounded<int>(1);
        public static async Task Write() { Full.Writer.TryWrite(1); await Full.Writer.WaitToWriteAsync(); }
        public static async Task Completion() { await Full.Reader.Completion; }
    }

    public static class Threads
    {
        static readonly TaskCompletionSource<int> Gate = new TaskCompletionSource<int>();
        public static void Timed() { Gate.Task.Wait(TimeSpan.FromHours(1)); }
        public static async Task Main() { await Task.Yield(); Inner(); }
        static void Inner() { Sleeping().Wait(); }
        static async Task Sleeping() { await Task.Delay(Timeout.Infinite); }
    }

    public static class Program
    {
        static readonly List<object> Keep = new List<object>();
        static void OnThread(string name, Action work, SynchronizationContext context = null) => new Thread(() => { SynchronizationContext.SetSynchronizationContext(context); work(); }) { IsBackground = true, Name = name }.Start();

        public static void Main()
        {
            ThreadPool.SetMinThreads(8, 8); ThreadPool.SetMaxThreads(8, 8);
            Keep.Add(Deep.Down(60)); Circles.Run(); Keep.Add(Circles.Outside());
            OnThread("context", () => { Keep.Add(Queued.InContext()); Keep.Add(Queued.EndedInContext()); Thread.Sleep(Timeout.Infinite); }, Queued.Pump);
            var begun = Task.Factory.StartNew(() => Keep.Add(Queued.InScheduler()), CancellationToken.None, TaskCreationOptions.None, Queued.Slow); Queued.Slow.RunOne();
            Keep.Add(Promises.InDictionary()); Keep.Add(Promises.Lost()); Keep.Add(Promises.OfTimer()); Keep.Add(Promises.OfHandle()); for (int i = 0; i < 20; i++) Keep.Add(Promises.Crowded(i)); for (int i = 0; i < 40; i++) Keep.Add(Promises.Numbered(i / 2));
            Keep.Add(Tasks.NeverStarted()); Keep.Add(Tasks.OfChild()); Tasks.Fail();
            Keep.Add(Awaiters.OfStatic()); Keep.Add(Awaiters.OfList()); Keep.Add(Receiver.Run()); Keep.Add(Jobs.Run()); Keep.Add(Channels.Write()); Keep.Add(Channels.Completion()); Keep.Add(Gone.All()); Keep.Add(Gone.Unwrap());
            OnThread("timed", Threads.Timed); Keep.Add(Threads.Main()); Keep.Add(Queued.EndedInPool());
            for (int idle = 0; idle < 5; idle = ThreadPool.PendingWorkItemCount == 0 ? idle + 1 : 0) Thread.Sleep(100);
            Queued.Begin();
            for (int i = 0; i < 30; i++) ThreadPool.UnsafeQueueUserWorkItem(_ => Thread.Sleep(Timeout.Infinite), null); // more than the pool has threads
            Thread.Sleep(500);
            Queued.Release(); Keep.Add(Queued.InPool()); Keep.Add(Task.Run(Queued.Work));
            GC.Collect();
            Console.WriteLine("FACTS {\"program\": \"Awaits\"}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id); Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
