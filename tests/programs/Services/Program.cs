using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Linq.Expressions;
using System.Net;
using System.Net.Http;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Channels;
using System.Threading.Tasks;

namespace Services
{
    public sealed class Quote { public string Symbol; public decimal Price; public byte[] Raw = new byte[300]; }

    // cache: GetOrAdd by a key that never comes again
    public sealed class PriceService
    {
        private static readonly ConcurrentDictionary<string, Quote> quotes = new ConcurrentDictionary<string, Quote>();
        public Quote Get(string symbol) => quotes.GetOrAdd(symbol, key => new Quote { Symbol = key });
        public static void Run(int n) { var s = new PriceService(); for (int i = 0; i < n; i++) s.Get("SYM" + i); }
    }

    // timers-timer: widgets subscribe to a System.Timers.Timer of a static service
    public static class Clock { public static readonly System.Timers.Timer Ticker = new System.Timers.Timer(1000 * 3600); }
    public sealed class Widget
    {
        private readonly byte[] pixels = new byte[400];
        public Widget() { Clock.Ticker.Elapsed += OnTick; }
        private void OnTick(object sender, System.Timers.ElapsedEventArgs e) { GC.KeepAlive(pixels); }
        public static void Run(int n) { Clock.Ticker.Start(); for (int i = 0; i < n; i++) new Widget(); }
    }

    // linked-cts: a linked source for each request, not disposed
    public static class Lifetime { public static readonly CancellationTokenSource Stopping = new CancellationTokenSource(); }
    public sealed class OrderHandler
    {
        private readonly byte[] body = new byte[500];
        public void Handle(CancellationToken stopping)
        {
            var linked = CancellationTokenSource.CreateLinkedTokenSource(stopping);
            linked.Token.Register(() => GC.KeepAlive(body));
        }
        public static void Run(int n) { for (int i = 0; i < n; i++) new OrderHandler().Handle(Lifetime.Stopping.Token); }
    }

    // delays: a wait of a day for each request
    public sealed class Reminder
    {
        private readonly byte[] text = new byte[600];
        public async Task RemindAsync() { await Task.Delay(TimeSpan.FromDays(1)); GC.KeepAlive(text); }
        public static void Run(int n) { for (int i = 0; i < n; i++) _ = new Reminder().RemindAsync(); }
    }

    // timer-objects: a timer for each session, never disposed
    public sealed class SessionWatch
    {
        private readonly Timer timer;
        private readonly byte[] state = new byte[600];
        public SessionWatch() { timer = new Timer(OnIdle, this, TimeSpan.FromMinutes(30), TimeSpan.FromMinutes(30)); }
        private static void OnIdle(object watch) { GC.KeepAlive(((SessionWatch)watch).state); }
        public static void Run(int n) { for (int i = 0; i < n; i++) new SessionWatch(); }
    }

    // channel: an unbounded channel with a consumer that is slow
    public sealed class Order { public int Id; public byte[] Lines = new byte[200]; }
    public sealed class OrderPipeline
    {
        private readonly Channel<Order> channel = Channel.CreateUnbounded<Order>();
        public static readonly OrderPipeline Instance = new OrderPipeline();
        public void Publish(Order order) => channel.Writer.TryWrite(order);
        public async Task ConsumeAsync() { while (await channel.Reader.WaitToReadAsync()) while (channel.Reader.TryRead(out var order)) { await Task.Delay(10000); GC.KeepAlive(order); } }
        public static void Run(int n) { _ = Instance.ConsumeAsync(); for (int i = 0; i < n; i++) Instance.Publish(new Order { Id = i }); }
    }

    // pinned-buffers: a wrapper that pins its buffer and is never freed
    public sealed class NativeFrame
    {
        private readonly byte[] data = new byte[1500];
        private GCHandle handle;
        public NativeFrame() { handle = GCHandle.Alloc(data, GCHandleType.Pinned); }
        public void Free() => handle.Free();
        public static void Run(int n) { for (int i = 0; i < n; i++) new NativeFrame(); }
    }

    // normal-handles: native callbacks that keep their state through a GCHandle
    public sealed class Callback { public byte[] State = new byte[700]; public IntPtr Cookie; public Callback() { Cookie = GCHandle.ToIntPtr(GCHandle.Alloc(this)); } public static void Run(int n) { for (int i = 0; i < n; i++) new Callback(); } }

    // thread-local: a buffer for each thread that grows
    public sealed class Formatter
    {
        private static readonly ThreadLocal<List<byte[]>> scratch = new ThreadLocal<List<byte[]>>(() => new List<byte[]>(), true);
        public static void Format(int i) => scratch.Value.Add(new byte[300]);
        public static void Run(int n)
        {
            for (int t = 0; t < 4; t++) { new Thread(() => { for (int i = 0; i < n / 4; i++) Format(i); Thread.Sleep(Timeout.Infinite); }) { IsBackground = true, Name = "format-" + t }.Start(); }
            Thread.Sleep(800);
        }
    }

    // async-local: each timer captures the execution context with the whole request in it
    public sealed class RequestContext { public byte[] Body = new byte[2000]; public static readonly AsyncLocal<RequestContext> Current = new AsyncLocal<RequestContext>(); }
    public static class Heartbeats
    {
        private static readonly List<Timer> timers = new List<Timer>();
        public static void Start() => timers.Add(new Timer(_ => { }, null, 3600_000, 3600_000));
        public static void Run(int n) { for (int i = 0; i < n; i++) { RequestContext.Current.Value = new RequestContext(); Start(); } RequestContext.Current.Value = null; }
    }

    // rpc-pending: calls that wait for an answer that never comes
    public sealed class RpcClient
    {
        private readonly ConcurrentDictionary<int, TaskCompletionSource<byte[]>> pending = new ConcurrentDictionary<int, TaskCompletionSource<byte[]>>();
        private static readonly RpcClient shared = new RpcClient();
        public async Task<int> CallAsync(int id, byte[] request)
        {
            var source = pending.GetOrAdd(id, _ => new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously));
            var answer = await source.Task;
            return answer.Length + request.Length;
        }
        public void OnAnswer(int id, byte[] answer) { if (pending.TryRemove(id, out var source)) source.SetResult(answer); }
        public static void Run(int n) { for (int i = 0; i < n; i++) _ = shared.CallAsync(i, new byte[400]); shared.OnAnswer(-1, null); }
    }

    // semaphore: requests that wait asynchronously for a lock that is never released
    public sealed class Repository
    {
        private static readonly SemaphoreSlim gate = new SemaphoreSlim(1);
        public async Task<int> QueryAsync(byte[] query) { await gate.WaitAsync(); try { await Task.Delay(Timeout.Infinite); return query.Length; } finally { gate.Release(); } }
        public static void Run(int n) { var r = new Repository(); for (int i = 0; i < n; i++) _ = r.QueryAsync(new byte[500]); }
    }

    // attached: a ConditionalWeakTable whose keys are all held
    public sealed class Entity { public int Id; }
    public static class Tracker
    {
        private static readonly ConditionalWeakTable<Entity, byte[]> notes = new ConditionalWeakTable<Entity, byte[]>();
        private static readonly List<Entity> entities = new List<Entity>();
        public static void Track(int id) { var e = new Entity { Id = id }; entities.Add(e); notes.Add(e, new byte[700]); }
        public static void Run(int n) { for (int i = 0; i < n; i++) Track(i); }
    }

    // intern: unique strings interned
    public static class Names
    {
        public static void Run(int n) { for (int i = 0; i < n; i++) string.Intern("customer number " + i + new string('x', 100)); }
    }

    // regex: compiled on each call and kept
    public static class Rules
    {
        private static readonly List<Regex> rules = new List<Regex>();
        public static void Add(string pattern) => rules.Add(new Regex(pattern, RegexOptions.Compiled));
        public static void Run(int n) { for (int i = 0; i < n; i++) { Add("^a" + i + "[bc]+d$"); rules[i].IsMatch("a" + i + "bd"); } }
    }

    // expressions: compiled for each query, kept in a cache by a key that never comes again
    public static class Queries
    {
        private static readonly Dictionary<object, Func<int, bool>> compiled = new Dictionary<object, Func<int, bool>>();
        public static Func<int, bool> For(int limit) { Expression<Func<int, bool>> e = x => x > limit; var f = e.Compile(); compiled[e] = f; return f; }
        public static void Run(int n) { for (int i = 0; i < n; i++) For(i)(i); }
    }

    // plugins: load contexts that a static event keeps from being unloaded
    public static class Plugins
    {
        public static event EventHandler Reloaded;
        public static void Load() { var context = new AssemblyLoadContext("plugin", true); var assembly = context.LoadFromAssemblyPath(typeof(Plugins).Assembly.Location); var plugin = Activator.CreateInstance(assembly.GetType("Services.Plugin")); Reloaded += (EventHandler)Delegate.CreateDelegate(typeof(EventHandler), plugin, "OnReload"); context.Unload(); }
        public static void Raise() => Reloaded?.Invoke(null, EventArgs.Empty);
        public static void Run(int n) { for (int i = 0; i < n; i++) Load(); }
    }
    public sealed class Plugin { public static readonly byte[] Table = new byte[60_000]; private readonly byte[] state = new byte[20_000]; public void OnReload(object s, EventArgs e) { GC.KeepAlive(Table); GC.KeepAlive(state); } }

    // finalizer-lock: the finalizer thread waits for a lock that another thread holds
    public sealed class Connection
    {
        private static readonly object poolLock = new object();
        private readonly byte[] buffer = new byte[500];
        ~Connection() { lock (poolLock) { GC.KeepAlive(buffer); } }
        private static void Hold() { lock (poolLock) Thread.Sleep(Timeout.Infinite); }
        public static void Run(int n) { new Thread(Hold) { IsBackground = true, Name = "pool-cleaner" }.Start(); Thread.Sleep(300); for (int i = 0; i < n; i++) new Connection(); }
    }

    // weak-events: weak references that are never pruned
    public sealed class Messenger
    {
        private static readonly List<WeakReference<Action>> listeners = new List<WeakReference<Action>>();
        public static void Subscribe(Action a) => listeners.Add(new WeakReference<Action>(a));
        public static void Run(int n) { for (int i = 0; i < n; i++) { var k = i; Subscribe(() => GC.KeepAlive(k)); } }
    }

    // large-holes: long-lived large arrays between freed ones
    public static class Reports
    {
        private static readonly List<byte[]> kept = new List<byte[]>();
        public static void Run(int n) { var pages = new byte[n][]; for (int i = 0; i < n; i++) { pages[i] = new byte[100_000 + i % 5000]; pages[i][5] = 1; if (i % 8 == 0) kept.Add(new byte[87_000]); } }
    }

    // disposables: transient services that a root container keeps until it is disposed itself
    public sealed class Container
    {
        public static readonly Container Root = new Container();
        private List<IDisposable> disposables;
        private readonly Dictionary<Type, Func<object>> factories = new Dictionary<Type, Func<object>> { [typeof(UnitOfWork)] = () => new UnitOfWork() };
        public T GetService<T>() { var made = factories[typeof(T)](); Capture(made); return (T)made; }
        private void Capture(object service) { if (service is IDisposable d) { lock (factories) { (disposables ??= new List<IDisposable>()).Add(d); } } }
        public static void Run(int n) { for (int i = 0; i < n; i++) Root.GetService<UnitOfWork>(); }
    }
    public sealed class UnitOfWork : IDisposable { private readonly byte[] changes = new byte[500]; public void Dispose() { GC.KeepAlive(changes); } }

    // pipeline: a static delegate that is wrapped again on each reload of the configuration
    public static class Pipeline
    {
        private static Func<int, int> handler = x => x;
        public static void Use(byte[] options) { var next = handler; handler = x => next(x) + options.Length; }
        public static void Run(int n) { for (int i = 0; i < n; i++) Use(new byte[400]); }
    }

    // action-chain: a static Action that closures are added to
    public static class Hooks
    {
        private static Action onExit;
        public static void Register(byte[] state) { onExit += () => GC.KeepAlive(state); }
        public static void Exit() => onExit?.Invoke();
        public static void Run(int n) { for (int i = 0; i < n; i++) Register(new byte[400]); }
    }

    // linked-list, sorted, immutable, priority
    public static class Lists
    {
        private static readonly LinkedList<Quote> history = new LinkedList<Quote>();
        private static readonly SortedDictionary<DateTime, Quote> timeline = new SortedDictionary<DateTime, Quote>();
        private static ImmutableDictionary<int, Quote> snapshot = ImmutableDictionary<int, Quote>.Empty;
        private static Quote[] array = new Quote[0];
        public static void AddLinked(Quote q) => history.AddLast(q);
        public static void AddSorted(int i, Quote q) => timeline.Add(DateTime.UnixEpoch.AddSeconds(i), q);
        public static void AddImmutable(int i, Quote q) { snapshot = snapshot.SetItem(i, q); }
        public static void AddArray(Quote q) { Array.Resize(ref array, array.Length + 1); array[array.Length - 1] = q; }
        public static void RunLinked(int n) { for (int i = 0; i < n; i++) AddLinked(new Quote()); }
        public static void RunSorted(int n) { for (int i = 0; i < n; i++) AddSorted(i, new Quote()); }
        public static void RunImmutable(int n) { for (int i = 0; i < n; i++) AddImmutable(i, new Quote()); }
        public static void RunArray(int n) { for (int i = 0; i < n; i++) AddArray(new Quote()); }
    }
#if NET6_0_OR_GREATER
    public sealed class Scheduler
    {
        private readonly PriorityQueue<Quote, DateTime> due = new PriorityQueue<Quote, DateTime>();
        private static readonly Scheduler shared = new Scheduler();
        public void Schedule(Quote q, int i) => due.Enqueue(q, DateTime.UnixEpoch.AddSeconds(i));
        public static void Run(int n) { for (int i = 0; i < n; i++) shared.Schedule(new Quote(), i); }
    }
#endif
    // native: memory of malloc that is never freed
    public sealed unsafe class Bitmap
    {
        private readonly IntPtr pixels;
        public Bitmap(int size) { pixels = Marshal.AllocHGlobal(size); new Span<byte>((void*)pixels, size).Fill(7); }
        public static void Run(int n) { for (int i = 0; i < n; i++) new Bitmap(20_000); }
    }

    // native-held: the same, but by objects that are alive
    public static class Gallery
    {
        private static readonly List<Bitmap> bitmaps = new List<Bitmap>();
        public static void Run(int n) { for (int i = 0; i < n; i++) bitmaps.Add(new Bitmap(20_000)); }
    }

    // burst: much was allocated once and is free now
    public static class Burst { public static void Run(int n) { var all = new List<byte[]>(); for (int i = 0; i < n; i++) all.Add(new byte[5000]); GC.KeepAlive(all); all.Clear(); all = null; } }

    // steady-cache: least recently used entries are dropped, so that it stays at its size
    public sealed class LruCache
    {
        private readonly int capacity;
        private readonly Dictionary<int, LinkedListNode<Quote>> map = new Dictionary<int, LinkedListNode<Quote>>();
        private readonly LinkedList<Quote> order = new LinkedList<Quote>();
        private static LruCache shared;
        public LruCache(int capacity) { this.capacity = capacity; }
        public void Put(int key, Quote q)
        {
            map[key] = order.AddLast(q);
            if (map.Count > capacity) { var oldest = order.First; order.RemoveFirst(); map.Remove(int.Parse(oldest.Value.Symbol)); }
        }
        public static void Run(int n) { shared = new LruCache(n); for (int i = 0; i < 3 * n; i++) shared.Put(i, new Quote { Symbol = i.ToString() }); }
    }

    // evicting: the same, but a method of its own makes room
    public sealed class PageCache
    {
        private static readonly Dictionary<int, Quote> pages = new Dictionary<int, Quote>();
        private static int limit;
        public static void Store(int key, Quote q) { pages.Add(key, q); MakeRoom(); }
        private static void MakeRoom() { while (pages.Count > limit) { int first = 0; foreach (var known in pages.Keys) { first = known; break; } pages.Remove(first); } }
        public static void Run(int n) { limit = n; for (int i = 0; i < 2 * n; i++) Store(i, new Quote()); }
    }

    // forgotten: sessions that nobody closes, though there is a method for that
    public sealed class SessionRegistry
    {
        private static readonly Dictionary<int, Quote> sessions = new Dictionary<int, Quote>();
        public static void Open(int id) { sessions[id] = new Quote(); }
        public static void Close(int id) { sessions.Remove(id); }
        public static void Run(int n) { for (int i = 0; i < n; i++) Open(i); }
    }

    // expiring: a timer removes what is old
    public sealed class TokenCache
    {
        private static readonly ConcurrentDictionary<int, Quote> tokens = new ConcurrentDictionary<int, Quote>();
        private static Timer sweeper;
        public static Quote Get(int id) => tokens.GetOrAdd(id, key => new Quote());
        private static void Sweep(object state) { foreach (var entry in tokens) if (entry.Value.Price < 0) tokens.TryRemove(entry.Key, out _); }
        public static void Run(int n) { sweeper = new Timer(Sweep, null, 60000, 60000); for (int i = 0; i < n; i++) Get(i); }
    }

    // two-indexes: the same objects by id and by name
    public static class Customers
    {
        private static readonly Dictionary<int, Quote> byId = new Dictionary<int, Quote>();
        private static readonly Dictionary<string, Quote> byName = new Dictionary<string, Quote>();
        public static void Add(int id, Quote q) { byId.Add(id, q); byName.Add("customer" + id, q); }
        public static void Run(int n) { for (int i = 0; i < n; i++) Add(i, new Quote()); }
    }

    // loaded-once: reference data that a static method loads at the start
    public static class Countries
    {
        private static Dictionary<int, Quote> byId;
        public static void Load(int n) { var loaded = new Dictionary<int, Quote>(); for (int i = 0; i < n; i++) loaded.Add(i, new Quote { Symbol = "S" + i }); byId = loaded; }
        public static void Run(int n) { Load(n); }
    }

    // pool: buffers that are returned and taken again
    public static class Buffers
    {
        private static readonly ConcurrentBag<byte[]> pool = new ConcurrentBag<byte[]>();
        public static byte[] Rent() => pool.TryTake(out var b) ? b : new byte[4000];
        public static void Return(byte[] b) => pool.Add(b);
        public static void Run(int n) { var rented = new List<byte[]>(); for (int i = 0; i < n; i++) rented.Add(Rent()); foreach (var b in rented) Return(b); rented.Clear(); }
    }

    // ring: an array of fixed length that is written over and over
    public static class Recent { private static readonly Quote[] ring = new Quote[20_000]; private static int next; public static void Put(Quote q) { ring[next++ % ring.Length] = q; } public static void Run(int n) { for (int i = 0; i < 3 * n; i++) Put(new Quote()); } }

    // model: a few huge arrays
    public static class Model { private static float[][] weights; public static void Run(int n) { weights = new float[8][]; for (int i = 0; i < 8; i++) weights[i] = new float[n * 100]; } }

    // deep-list: a list of its own, ten million long
    public sealed class Node { public Node Next; public int Value; }
    public static class Chain { private static Node head; public static void Run(int n) { for (int i = 0; i < n; i++) head = new Node { Next = head, Value = i }; } }

    // starved: work that the thread pool does not get to
    public static class Worker
    {
        public static void Run(int n)
        {
            ThreadPool.SetMinThreads(8, 8); ThreadPool.SetMaxThreads(8, 8);
            for (int i = 0; i < n; i++) { var payload = new byte[300]; Task.Run(() => Handle(payload)); }
            Thread.Sleep(500);
        }
        private static void Handle(byte[] payload) { FetchAsync().Wait(); GC.KeepAlive(payload); }
        private static async Task<int> FetchAsync() { await Task.Delay(100); return 1; }
    }

    // emitted: types by Reflection.Emit
    public static class Proxies
    {
        private static readonly List<Type> types = new List<Type>();
        public static void Run(int n)
        {
            var module = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName("Proxies"), AssemblyBuilderAccess.Run).DefineDynamicModule("Proxies");
            for (int i = 0; i < n; i++) types.Add(module.DefineType("Proxy" + i, TypeAttributes.Public).CreateTypeInfo());
        }
    }

    // http: a client for each request, each with a connection of its own
    public static class Rates
    {
        private static readonly List<HttpClient> clients = new List<HttpClient>();
        public static void Run(int n)
        {
            var listener = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0); listener.Start();
            int port = ((IPEndPoint)listener.LocalEndpoint).Port;
            _ = ServeAsync(listener);
            for (int i = 0; i < n; i++) { var client = new HttpClient(); clients.Add(client); client.GetAsync("http://127.0.0.1:" + port + "/").GetAwaiter().GetResult().Content.ReadAsStringAsync().GetAwaiter().GetResult(); }
        }
        private static async Task ServeAsync(System.Net.Sockets.TcpListener listener)
        {
            while (true) { var client = await listener.AcceptTcpClientAsync(); _ = AnswerAsync(client); }
        }
        private static async Task AnswerAsync(System.Net.Sockets.TcpClient client)
        {
            var stream = client.GetStream(); var buffer = new byte[1000];
            while (await stream.ReadAsync(buffer, 0, 1000) > 0) { var answer = Encoding.ASCII.GetBytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); await stream.WriteAsync(answer, 0, answer.Length); }
        }
    }

    // streams: responses kept by a list of tasks that are done
    public static class Exports
    {
        private static readonly List<Task<MemoryStream>> done = new List<Task<MemoryStream>>();
        private static async Task<MemoryStream> ExportAsync() { await Task.Yield(); var s = new MemoryStream(); s.Write(new byte[700], 0, 700); return s; }
        public static void Run(int n) { for (int i = 0; i < n; i++) done.Add(ExportAsync()); Task.WaitAll(done.ToArray()); }
    }

    // observers: an array that is copied for each new observer
    public sealed class Subject<T> { private IObserver<T>[] observers = new IObserver<T>[0]; public void Subscribe(IObserver<T> o) { var old = observers; var next = new IObserver<T>[old.Length + 1]; Array.Copy(old, next, old.Length); next[old.Length] = o; observers = next; } }
    public sealed class Printer : IObserver<int> { private readonly byte[] line = new byte[300]; public void OnCompleted() { } public void OnError(Exception e) { } public void OnNext(int v) { GC.KeepAlive(line); } }
    public static class Sensor { public static readonly Subject<int> Readings = new Subject<int>(); public static void Run(int n) { for (int i = 0; i < n; i++) Readings.Subscribe(new Printer()); } }

    // threads-stuck: threads that wait for each other, each with its request
    public static class Accounts
    {
        private static readonly object a = new object(), b = new object();
        private static void One(byte[] r) { lock (a) { Thread.Sleep(200); lock (b) GC.KeepAlive(r); } }
        private static void Two(byte[] r) { lock (b) { Thread.Sleep(200); lock (a) GC.KeepAlive(r); } }
        public static void Run(int n) { for (int i = 0; i < n; i++) { var r = new byte[50_000]; bool odd = i % 2 == 1; new Thread(() => { if (odd) One(r); else Two(r); }) { IsBackground = true, Name = "transfer-" + i }.Start(); } Thread.Sleep(1000); }
    }

    // tree: a tree of its own that grows
    public sealed class TreeNode { public Dictionary<char, TreeNode> Children = new Dictionary<char, TreeNode>(); public string Value; }
    public static class Trie { private static readonly TreeNode root = new TreeNode(); public static void Insert(string w) { var at = root; foreach (char c in w) { if (!at.Children.TryGetValue(c, out var next)) at.Children[c] = next = new TreeNode(); at = next; } at.Value = w; } public static void Run(int n) { var r = new Random(5); for (int i = 0; i < n; i++) { var w = new char[8]; for (int k = 0; k < 8; k++) w[k] = (char)('a' + r.Next(26)); Insert(new string(w)); } } }

    // log: a StringBuilder that everything is appended to
    public static class Trace { private static readonly StringBuilder text = new StringBuilder(); public static void Write(string s) => text.AppendLine(s); public static void Run(int n) { for (int i = 0; i < n; i++) Write("request number " + i + " took a while" + new string('.', 200)); } }

    // memory-stream: one stream that grows
    public static class Journal { private static readonly MemoryStream stream = new MemoryStream(); public static void Write(byte[] b) => stream.Write(b, 0, b.Length); public static void Run(int n) { var b = new byte[1000]; for (int i = 0; i < n; i++) Write(b); } }

    public static class Program
    {
        private static Action<int> Scenario(string name) => name switch
        {
            "cache" => PriceService.Run, "timers-timer" => Widget.Run, "linked-cts" => OrderHandler.Run, "delays" => Reminder.Run, "timer-objects" => SessionWatch.Run,
            "channel" => OrderPipeline.Run, "pinned-buffers" => NativeFrame.Run, "normal-handles" => Callback.Run, "thread-local" => Formatter.Run, "async-local" => Heartbeats.Run,
            "rpc-pending" => RpcClient.Run, "semaphore" => Repository.Run, "attached" => Tracker.Run, "intern" => Names.Run, "regex" => Rules.Run, "expressions" => Queries.Run,
            "plugins" => Plugins.Run, "finalizer-lock" => Connection.Run, "weak-events" => Messenger.Run, "large-holes" => Reports.Run, "disposables" => Container.Run, "pipeline" => Pipeline.Run,
            "action-chain" => Hooks.Run, "linked-list" => Lists.RunLinked, "sorted" => Lists.RunSorted, "immutable" => Lists.RunImmutable, "array" => Lists.RunArray,
#if NET6_0_OR_GREATER
            "priority" => Scheduler.Run,
#endif
            "native" => Bitmap.Run, "native-held" => Gallery.Run, "burst" => Burst.Run, "steady-cache" => LruCache.Run, "loaded-once" => Countries.Run, "ring" => Recent.Run, "evicting" => PageCache.Run, "forgotten" => SessionRegistry.Run, "expiring" => TokenCache.Run, "two-indexes" => Customers.Run, "pool" => Buffers.Run, "model" => Model.Run,
            "deep-list" => Chain.Run, "starved" => Worker.Run, "emitted" => Proxies.Run, "http" => Rates.Run, "streams" => Exports.Run, "observers" => Sensor.Run, "threads-stuck" => Accounts.Run,
            "tree" => Trie.Run, "log" => Trace.Run, "memory-stream" => Journal.Run, "nothing" => _ => { }, 
            _ => throw new ArgumentException("unknown scenario " + name),
        };

        public static void Main(string[] args)
        {
            Scenario(args[0])(int.Parse(args[1]));
            GC.Collect();
            if (args[0] != "finalizer-lock") { GC.WaitForPendingFinalizers(); GC.Collect(); } else { Thread.Sleep(500); GC.Collect(); }
            Console.WriteLine("FACTS {\"scenario\": \"" + args[0] + "\", \"count\": " + args[1] + "}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id);
            Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
