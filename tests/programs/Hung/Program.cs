// A service that hangs: threads that wait in every way that a managed thread can, some of them for each other for ever. FACTS says of each
// thread, by its name, what it waits for, of which type that is and which thread has it; and which threads wait for each other.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO.Pipes;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Hung
{
    class Orders { }

    class Stock { }

    static class Settings
    {
        public static int Value;

        static Settings() { Thread.Sleep(Timeout.Infinite); }
    }

    static class Prices
    {
        public static int Value;

        static Prices()
        {
            Program.InInitializer.Set();
            lock (Program.PricesLock) { Value = 1; }
        }
    }

    public static class Program
    {
        internal static readonly ManualResetEventSlim InInitializer = new ManualResetEventSlim();
        internal static readonly object PricesLock = new Orders();
        static readonly List<Thread> Started = new List<Thread>();
        static readonly List<string> Facts = new List<string>();
        static readonly object A = new Orders(), B = new Stock(), Abandoned = new Stock(), Pulsed = new Orders(), Thin = new Stock();
        static readonly ReaderWriterLockSlim Written = new ReaderWriterLockSlim(), Read = new ReaderWriterLockSlim(), Mixed = new ReaderWriterLockSlim();
        static readonly ReaderWriterLock Old = new ReaderWriterLock();
        static readonly AggregateException Failed = new AggregateException(new InvalidOperationException("one"), new FormatException("two"));
        static readonly ManualResetEvent Never = new ManualResetEvent(false);
        static volatile bool stop;

        [DllImport("libc")] static extern int pause();

        [DllImport("libc")] static extern int pthread_mutex_lock(IntPtr mutex);

        // `waits`: kind, then type and name of the thread that has it where there are such.
        static Thread Run(string name, string waits, Action body)
        {
            var thread = new Thread(() => body()) { IsBackground = true, Name = name };
            Started.Add(thread);
            string[] parts = waits.Split('|');
            string owner = parts.Length > 2 ? $", \"owner\": \"{parts[2]}\"" : "";
            string type = parts.Length > 1 ? $", \"type\": \"{parts[1]}\"" : "";
            Facts.Add($"\"{name}\": {{\"id\": {thread.ManagedThreadId}, \"kind\": \"{parts[0]}\"{type}{owner}}}");
            thread.Start();
            return thread;
        }

        // Until the thread has got what it takes and waits.
        static Thread Holding(string name, string waits, Action body)
        {
            Thread thread = Run(name, waits, body);
            while ((thread.ThreadState & System.Threading.ThreadState.WaitSleepJoin) == 0) { Thread.Sleep(10); }
            return thread;
        }

        static void Forever() => Thread.Sleep(Timeout.Infinite);

        public static void Main()
        {
            var deadlocks = new List<string> { "[\"ab\", \"ba\"]", "[\"mixed-enter\", \"mixed-join\"]", "[\"mixed-written\", \"mixed-entered\"]" };
            Monitors();
            Locks(deadlocks);
            ReaderWriters();
            Events();
            Tasks();
            Others();
            MixedDeadlocks(deadlocks);
            foreach (Thread thread in Started.Where(thread => !thread.Name.Contains("native") && !thread.Name.StartsWith("socket")))
            {
                while (!thread.Name.StartsWith("spin") && (thread.ThreadState & System.Threading.ThreadState.WaitSleepJoin) == 0) { Thread.Sleep(10); }
            }
            Thread.Sleep(500);
            Console.WriteLine($"FACTS {{\"threads\": {{{string.Join(", ", Facts)}}}, \"deadlocks\": [{string.Join(", ", deadlocks)}]}}");
            Console.WriteLine($"READY {Process.GetCurrentProcess().Id}");
            Forever();
        }

        static void Monitors()
        {
            var both = new Barrier(2);
            Run("ab", "monitor enter|Hung.Stock|ba", () => { lock (A) { both.SignalAndWait(); lock (B) { } } });
            Run("ba", "monitor enter|Hung.Orders|ab", () => { lock (B) { both.SignalAndWait(); lock (A) { } } });
            Holding("bystander", "monitor enter|Hung.Orders|ab", () => { lock (A) { } });
            var dying = new Thread(() => Monitor.Enter(Abandoned)) { Name = "dead" };
            Facts.Add($"\"dead\": {{\"id\": {dying.ManagedThreadId}, \"kind\": null}}");
            dying.Start();
            dying.Join();
            Run("of-the-dead", "monitor enter|Hung.Stock|dead", () => { lock (Abandoned) { } });
            Run("pulse", "monitor wait|Hung.Orders", () => { lock (Pulsed) { Monitor.Wait(Pulsed); } });
            Run("thin-holder", "sleep", () => { lock (Thin) { Forever(); } });
        }

        // Through reflection, as this is compiled for runtimes without the type.
        static void Locks(List<string> deadlocks)
        {
            Type type = Type.GetType("System.Threading.Lock");
            if (type == null) { return; }
            deadlocks.Add("[\"lock-xy\", \"lock-yx\"]");
            Action x = EnterOf(Activator.CreateInstance(type)), y = EnterOf(Activator.CreateInstance(type)), gone = EnterOf(Activator.CreateInstance(type));
            var both = new Barrier(2);
            Run("lock-xy", "lock enter|System.Threading.Lock|lock-yx", () => { x(); both.SignalAndWait(); y(); });
            Run("lock-yx", "lock enter|System.Threading.Lock|lock-xy", () => { y(); both.SignalAndWait(); x(); });
            var dying = new Thread(() => gone());
            dying.Start();
            dying.Join();
            Run("lock-of-the-dead", "lock enter|System.Threading.Lock", () => gone());
        }

        static Action EnterOf(object found) => (Action)Delegate.CreateDelegate(typeof(Action), found, found.GetType().GetMethod("Enter"));

        static void ReaderWriters()
        {
            const string slim = "reader-writer lock|System.Threading.ReaderWriterLockSlim";
            Holding("writer", "sleep", () => { Written.EnterWriteLock(); Forever(); });
            Holding("reader", "sleep", () => { Read.EnterReadLock(); Forever(); });
            Run("wants-read", slim + "|writer", () => Written.EnterReadLock());
            Run("wants-write", slim + "|writer", () => Written.EnterWriteLock());
            Run("upgrades", slim, () => { Read.EnterUpgradeableReadLock(); Read.EnterWriteLock(); });
            Holding("old-writer", "sleep", () => { Old.AcquireWriterLock(-1); Forever(); });
            Run("wants-old", "reader-writer lock|System.Threading.ReaderWriterLock|old-writer", () => Old.AcquireReaderLock(-1));
        }

        static void Events()
        {
            Run("semaphore-slim", "semaphore|System.Threading.SemaphoreSlim", () => new SemaphoreSlim(0).Wait());
            Run("event-slim", "event|System.Threading.ManualResetEventSlim", () => new ManualResetEventSlim().Wait());
            Run("countdown", "countdown", () => new CountdownEvent(1).Wait());
            Run("barrier", "barrier", () => new Barrier(2).SignalAndWait());
            Run("collection", "blocking collection|System.Collections.Concurrent.BlockingCollection<System.Int32>", () => new BlockingCollection<int>().Take());
            var mutex = new Mutex();
            Holding("mutex-holder", "sleep", () => { mutex.WaitOne(); Forever(); });
            Run("mutex", "wait handle|System.Threading.Mutex", () => { mutex.WaitOne(); GC.KeepAlive(mutex); });
            Run("semaphore", "wait handle|System.Threading.Semaphore", () => { var found = new Semaphore(0, 1); found.WaitOne(); GC.KeepAlive(found); });
            Run("event", "wait handle|System.Threading.ManualResetEvent", () => Never.WaitOne());
            Run("any", "wait handle", () => WaitHandle.WaitAny(new WaitHandle[] { Never, new AutoResetEvent(false) }));
            Run("signals-and-waits", "wait handle", () => WaitHandle.SignalAndWait(new ManualResetEvent(false), Never));
        }

        static void Tasks()
        {
            var promise = new TaskCompletionSource<int>();
            Run("task-wait", "task|System.Threading.Tasks.Task<System.Int32>", () => promise.Task.Wait());
            Run("task-result", "task|System.Threading.Tasks.Task<System.Int32>", () => { var result = promise.Task.Result; });
            Run("task-get-result", "task|System.Threading.Tasks.Task<System.Int32>", () => promise.Task.GetAwaiter().GetResult());
            Run("task-all", "task", () => Task.WaitAll(promise.Task, new TaskCompletionSource<int>().Task));
        }

        static void Others()
        {
            Thread joined = Run("sleeps", "sleep", Forever);
            Run("joins", "thread join|System.Threading.Thread|sleeps", () => joined.Join());
            Run("spins", "spin wait", () => SpinWait.SpinUntil(() => stop));
            Run("spins-for-lock", "spin lock", () => { var spin = new SpinLock(false); bool taken = false, again = false; spin.Enter(ref taken); spin.Enter(ref again); });
            Holding("initializes", "sleep", () => RuntimeHelpers.RunClassConstructor(typeof(Settings).TypeHandle));
            Run("native-initializer", "type initializer|Hung.Settings|initializes", () => { Settings.Value++; });
            IntPtr mutex = Marshal.AllocHGlobal(64); // a mutex of zeros is free
            Marshal.Copy(new byte[64], 0, mutex, 64);
            Holding("has-mutex", "sleep", () => { pthread_mutex_lock(mutex); Forever(); });
            Run("native-mutex", "native lock||has-mutex", () => pthread_mutex_lock(mutex));
            Run("native-pause", "signal", () => pause());
            var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var client = new TcpClient();
            client.Connect((IPEndPoint)listener.LocalEndpoint);
            listener.AcceptSocket();
            Run("socket-accept", "socket accept", () => listener.AcceptSocket());
            Run("socket-receive", "socket receive", () => client.Client.Receive(new byte[10]));
            Run("socket-pipe", "pipe", () => new AnonymousPipeServerStream(PipeDirection.In).ReadByte());
            Run("handles", "sleep", Handle);
            string shared = "kept";
            int number = 7;
            Run("captures", "sleep", () => { GC.KeepAlive(shared); number++; Forever(); });
            Run("iterates", "sleep", () => { foreach (int item in Count(3)) { Console.Error.WriteLine(item); } });
            var lazy = new Lazy<int>(() => { Forever(); return 1; });
            Holding("makes-lazy", "sleep", () => { var value = lazy.Value; });
            Run("wants-lazy", "monitor enter|System.LazyHelper|makes-lazy", () => { var value = lazy.Value; });
        }

        static IEnumerable<int> Count(int from)
        {
            for (int current = from; ; current++)
            {
                if (current > 3) { Forever(); }
                yield return current;
            }
        }

        // One exception forgotten, three that are handled inside of each other.
        static void Handle()
        {
            try { throw Failed; } catch (AggregateException) { }
            try { throw new ArgumentException("outer"); }
            catch (ArgumentException)
            {
                try { throw new FormatException("middle"); }
                catch (FormatException)
                {
                    try { throw new InvalidOperationException("inner"); }
                    catch (InvalidOperationException) { Forever(); }
                }
            }
        }

        static void MixedDeadlocks(List<string> deadlocks)
        {
            object entered = new Stock();
            var started = new ManualResetEventSlim();
            Thread enters = null;
            enters = Run("mixed-enter", "monitor enter|Hung.Stock|mixed-join", () => { started.Wait(); lock (entered) { } });
            Run("mixed-join", "thread join|System.Threading.Thread|mixed-enter", () => { lock (entered) { started.Set(); enters.Join(); } });
            var both = new Barrier(2);
            object mixed = new Orders();
            Run("mixed-written", "monitor enter|Hung.Orders|mixed-entered", () => { Mixed.EnterReadLock(); both.SignalAndWait(); lock (mixed) { } });
            Run("mixed-entered", "reader-writer lock|System.Threading.ReaderWriterLockSlim", () => { lock (mixed) { both.SignalAndWait(); Mixed.EnterWriteLock(); } });
            object ofTask = new Stock(), ofAsync = new Orders();
            Run("mixed-task", "task|System.Threading.Tasks.Task|@task", () => { lock (ofTask) { Task.Factory.StartNew(() => { lock (ofTask) { } }, TaskCreationOptions.LongRunning).Wait(); } });
            Run("mixed-async", "task||@async", () => { lock (ofAsync) { EnterLater(ofAsync).Wait(); } });
            deadlocks.Add("[\"mixed-task\"]");
            deadlocks.Add("[\"mixed-async\"]");
            Holding("native-prices", "type initializer|Hung.Prices|mixed-initializer", () => { lock (PricesLock) { InInitializer.Wait(); Prices.Value++; } });
            Run("mixed-initializer", "monitor enter|Hung.Orders|native-prices", () => RuntimeHelpers.RunClassConstructor(typeof(Prices).TypeHandle));
            deadlocks.Add("[\"mixed-initializer\", \"native-prices\"]");
        }

        static async Task EnterLater(object found)
        {
            await Task.Yield();
            lock (found) { }
        }
    }
}
