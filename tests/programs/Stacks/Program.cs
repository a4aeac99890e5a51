// Threads whose stacks have every shape: Stacks blocked | busy | deep N.
// blocked: each thread sleeps at one hard place. busy: threads work through many shapes for ever, so that a dump stops them anywhere.
// deep: a recursion of N calls, as before a stack overflow.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Stacks
{
    interface IShape { long Area(int depth); }
    sealed class Square : IShape { public long Area(int depth) => depth == 0 ? Work.Spin(3) : depth * depth + Work.Spin(2); }
    sealed class Circle : IShape { public long Area(int depth) { var local = new int[depth + 1]; return local.Length + Work.Spin(2); } }
    struct Pair { public long First; public object Second; public int Third; }
    struct Wide { public long A, B, C, D; public string Text; }

    class Holder<T>
    {
        public T Value;
        [MethodImpl(MethodImplOptions.NoInlining)] public virtual string Describe(T other, int depth) => depth == 0 ? Work.Text(other) : Describe(other, depth - 1);
        [MethodImpl(MethodImplOptions.NoInlining)] public U Map<U>(Func<T, U> map) => map(Value);
    }

    // Asked at run time what implements an interface of it: the answer comes while the call is being dispatched (StubDispatchFrame).
    class Castable : IDynamicInterfaceCastable
    {
        public bool IsInterfaceImplemented(RuntimeTypeHandle wanted, bool throwIfNot) => true;
        public RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle wanted) { Blocked.Park("dispatch"); return default; }
    }

    class SlowStatics
    {
        public static readonly int Value = Init();
        [MethodImpl(MethodImplOptions.NoInlining)] static int Init() { Blocked.Park("class initializer"); return 1; }
    }

    class Disposable : IDisposable { public void Dispose() { Blocked.Park("finally of using"); } }

    static class Work
    {
        static long s_sink;
        public static volatile bool Quiet;

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long Spin(int rounds)
        {
            long sum = 0;
            for (int i = 0; i < rounds * 50; i++) sum += (sum << 1) ^ i;
            s_sink += sum;
            return sum & 7;
        }

        [MethodImpl(MethodImplOptions.NoInlining)] public static string Text(object value) { Spin(1); return value?.ToString(); }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long Recurse(int depth, object held, ref long total)
        {
            total += depth;
            if (depth == 0) return Spin(5);
            Span<long> local = stackalloc long[8];
            local[depth & 7] = depth;
            var below = Recurse(depth - 1, held, ref local[depth & 7]);
            return below + local[depth & 7] + (held == null ? 0 : 1);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long Promoted(Pair pair, Wide wide)
        {
            var copy = pair;
            copy.First += wide.A + wide.D + Spin(2);
            return copy.First + copy.Third + (copy.Second?.GetHashCode() ?? 0) + (wide.Text?.Length ?? 0);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long Throwing(int depth)
        {
            try { return Thrower(depth); }
            catch (InvalidOperationException error) when (Filter(error)) { return error.Message.Length + Spin(3); }
            finally { Spin(2); }
        }

        [MethodImpl(MethodImplOptions.NoInlining)] static bool Filter(Exception error) { Spin(2); return error.Message != null; }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Thrower(int depth)
        {
            try
            {
                if (depth == 0) throw new InvalidOperationException("bottom");
                return Thrower(depth - 1);
            }
            finally { Spin(1); }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long NullReference(string text)
        {
            try { return text.Length; }
            catch (NullReferenceException) { return Spin(3); }
        }

        public static IEnumerable<int> Iterate(int count) { for (int i = 0; i < count; i++) { Spin(1); yield return i; } }

        public static async Task<int> Deep(int depth)
        {
            if (depth == 0) { await Task.Yield(); Spin(3); return 1; }
            var below = await Deep(depth - 1);
            Spin(1);
            return below + 1;
        }

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)] public delegate int Comparer(IntPtr left, IntPtr right);
        [DllImport("libc", EntryPoint = "qsort")] public static extern void QSort(long[] values, IntPtr count, IntPtr size, Comparer comparer);
        [DllImport("libc", EntryPoint = "getpid", SetLastError = true)] public static extern int GetPid();

        public static int Compare(IntPtr left, IntPtr right) { Spin(1); return Marshal.ReadInt64(left).CompareTo(Marshal.ReadInt64(right)); }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static long Native(int count)
        {
            var values = Enumerable.Range(0, count).Select(value => (long)(value * 7919 % 101)).ToArray();
            Comparer comparer = Compare;
            QSort(values, (IntPtr)values.Length, (IntPtr)8, comparer);
            GC.KeepAlive(comparer);
            return values[0] + GetPid();
        }

        public static Func<int, long> Dynamic()
        {
            var method = new DynamicMethod("Emitted", typeof(long), new[] { typeof(int) }, typeof(Work).Module, true);
            var il = method.GetILGenerator();
            il.Emit(OpCodes.Ldarg_0);
            il.Emit(OpCodes.Call, typeof(Work).GetMethod(nameof(Spin)));
            il.Emit(OpCodes.Ret);
            return (Func<int, long>)method.CreateDelegate(typeof(Func<int, long>));
        }

        public static void Busy(int seed)
        {
            var random = new Random(seed);
            var shapes = new IShape[] { new Square(), new Circle() };
            var dynamic = Dynamic();
            var strings = new Holder<string> { Value = "text" };
            var numbers = new Holder<int> { Value = 7 };
            while (!Quiet)
            {
                long total = 0;
                switch (random.Next(14))
                {
                    case 0: Recurse(random.Next(40), shapes, ref total); break;
                    case 1: Promoted(new Pair { First = 1, Second = strings, Third = 3 }, new Wide { A = 1, D = 4, Text = "wide" }); break;
                    case 2: Throwing(random.Next(6)); break;
                    case 3: NullReference(null); break;
                    case 4: foreach (var item in Iterate(20)) total += item; break;
                    case 5: Deep(random.Next(8)).Wait(); break;
                    case 6: Native(30); break;
                    case 7: dynamic(5); break;
                    case 8: for (int i = 0; i < 50; i++) total += shapes[i & 1].Area(i % 9); break;
                    case 9: strings.Describe("other", 5); numbers.Describe(3, 5); break;
                    case 10: strings.Map(value => value.Length + Spin(2)); numbers.Map(value => value.ToString() + Spin(2)); break;
                    case 11: lock (shapes) { Spin(5); } break;
                    case 12: var list = new List<object>(); for (int i = 0; i < 500; i++) list.Add(new byte[i]); break;
                    default: new int[] { 5, 3, 9, 1 }.OrderBy(value => -value).Select(value => (object)value).ToList(); break;
                }
            }
        }
    }

    static class Blocked
    {
        static readonly CountdownEvent s_ready = new CountdownEvent(1);

        [MethodImpl(MethodImplOptions.NoInlining)] public static void Park(string where) { s_ready.Signal(); Thread.Sleep(Timeout.Infinite); GC.KeepAlive(where); }

        static void Start(string name, Action body)
        {
            s_ready.AddCount();
            new Thread(() => body()) { IsBackground = true, Name = name }.Start();
        }

        [MethodImpl(MethodImplOptions.NoInlining)] static void Throw(int depth) { if (depth == 0) throw new InvalidOperationException("thrown"); Throw(depth - 1); }
        static void InCatch() { try { Throw(4); } catch (InvalidOperationException) { Park("catch"); } }
        static void InNestedCatch() { try { Throw(2); } catch (InvalidOperationException) { try { Throw(3); } catch (InvalidOperationException) { Park("nested catch"); } } }
        static void InFinally() { try { try { Throw(3); } finally { Park("finally"); } } catch (InvalidOperationException) { } }
        static void InNormalFinally() { try { Work.Spin(1); } finally { Park("normal finally"); } }
        static bool ParkInFilter() { Park("filter"); return true; }
        static void InFilter() { try { Throw(3); } catch (Exception) when (ParkInFilter()) { } }
        static void InFaultCatch() { try { Work.Text(((string)null).Length); } catch (NullReferenceException) { Park("catch of a fault"); } }
        static void InUsing() { using (new Disposable()) { Work.Spin(1); } }
        static void InClassInitializer() { Work.Text(SlowStatics.Value); }
        static int ParkInComparer(IntPtr left, IntPtr right) { Park("callback from native code"); return 0; }
        static void InCallback() { Work.Comparer comparer = ParkInComparer; Work.QSort(new long[] { 2, 1 }, (IntPtr)2, (IntPtr)8, comparer); GC.KeepAlive(comparer); }
        static void InReflection() { typeof(Blocked).GetMethod(nameof(ParkGeneric)).MakeGenericMethod(typeof(string)).Invoke(null, new object[] { "text" }); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void ParkGeneric<T>(T value) { Park("generic"); GC.KeepAlive(value); }
        static void InIterator() { foreach (var _ in Parking()) { } }
        static IEnumerable<int> Parking() { Park("iterator"); yield return 1; }
        static async Task InAsync() { await Task.Yield(); Park("async"); }
        static void InDynamicMethod() { Emitted()(); }
        static Action Emitted()
        {
            var method = new DynamicMethod("ParkEmitted", typeof(void), Type.EmptyTypes, typeof(Blocked).Module, true);
            var il = method.GetILGenerator();
            il.Emit(OpCodes.Ldstr, "dynamic method");
            il.Emit(OpCodes.Call, typeof(Blocked).GetMethod(nameof(Park)));
            il.Emit(OpCodes.Ret);
            return (Action)method.CreateDelegate(typeof(Action));
        }
        static void InResolve() { try { System.Reflection.Assembly.Load("NoSuchAssembly"); } catch (Exception) { } }
        [MethodImpl(MethodImplOptions.NoInlining)] static void InStackalloc(int size) { Span<byte> bytes = stackalloc byte[size]; bytes.Fill(1); Park("stackalloc"); Work.Spin(bytes[0]); }
        static void InSort() { var list = new List<int> { 3, 1, 2 }; list.Sort((left, right) => { Park("sort"); return 0; }); }

        public static void All()
        {
            AppDomain.CurrentDomain.AssemblyResolve += (sender, arguments) => { if (arguments.Name.StartsWith("NoSuch")) Park("assembly resolve"); return null; };
            Start("catch", InCatch);
            Start("nested-catch", InNestedCatch);
            Start("finally", InFinally);
            Start("normal-finally", InNormalFinally);
            Start("filter", InFilter);
            Start("fault", InFaultCatch);
            Start("using", InUsing);
            Start("class-initializer", InClassInitializer);
            Start("callback", InCallback);
            Start("reflection", InReflection);
            Start("generic", () => ParkGeneric(new Pair { Second = "second" }));
            Start("generic-reference", () => ParkGeneric(new object()));
            Start("iterator", InIterator);
            Start("dynamic", InDynamicMethod);
            Start("resolve", InResolve);
            Start("stackalloc", () => InStackalloc(5000));
            Start("sort", InSort);
            Start("dispatch", () => Work.Text(((IShape)(object)new Castable()).Area(3)));
            Start("dispatch-arguments", () => ((ICollection<string>)(object)new Castable()).CopyTo(new string[5], 2));
            Start("dispatch-in-framework", () => Work.Text(string.Join("; ", (IEnumerable<string>)(object)new Castable())));
            Start("dispatch-comparer", () => Array.BinarySearch(new[] { "one", "two" }, "three", (IComparer<string>)(object)new Castable()));
            s_ready.AddCount();
            _ = InAsync();
            s_ready.Signal();
            s_ready.Wait();
        }
    }

    static class Program
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        static int Deep(int depth)
        {
            if (depth == 0) { Ready("deep"); Thread.Sleep(Timeout.Infinite); }
            return Deep(depth - 1) + 1;
        }

        static void Ready(string mode)
        {
            Console.WriteLine("FACTS {\"mode\": \"" + mode + "\"}");
            Console.WriteLine("READY " + Environment.ProcessId);
            Console.Out.Flush();
        }

        static void Main(string[] arguments)
        {
            if (arguments[0] == "deep")
            {
                var thread = new Thread(() => Deep(int.Parse(arguments[1])), 64 << 20);
                thread.Start();
                thread.Join();
                return;
            }
            if (arguments[0] == "blocked") Blocked.All();
            else
            {
                int seed = int.Parse(arguments[1]);
                for (int i = 0; i < 16; i++) { int own = seed * 100 + i; new Thread(() => Work.Busy(own)) { IsBackground = true, Name = "busy-" + i }.Start(); }
                Thread.Sleep(1500 + seed % 7 * 130);
            }
            Ready(arguments[0]);
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
