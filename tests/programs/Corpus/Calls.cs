// Shapes of calls: generics, virtual and interface calls, delegates, tail calls, structs, by-refs, native code and back, reflection.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Corpus
{
    interface IGo { long Go(Walk walk, object held); }
    sealed class GoA : IGo { public long Go(Walk walk, object held) => Shapes.Deeper(walk) + (held == null ? 0 : 1); }
    sealed class GoB : IGo { readonly object _kept = "b"; public long Go(Walk walk, object held) { var both = (held, _kept); return Shapes.Deeper(walk) + both.GetHashCode() % 2; } }
    struct GoC : IGo { public object Kept; public long Number; public long Go(Walk walk, object held) { Number = Shapes.Deeper(walk); return Number + (Kept == held ? 1 : 0); } }
    abstract class Animal { public abstract long Speak(Walk walk, string word); }
    class Cat : Animal { public override long Speak(Walk walk, string word) => Shapes.Deeper(walk) + word.Length; }
    class Lion : Cat { public override long Speak(Walk walk, string word) => base.Speak(walk, word + "!") + word.Length; }

    class Holder<T>
    {
        public T Value;
        [MethodImpl(MethodImplOptions.NoInlining)] public long Through(Walk walk, T other) { Value = other; long sum = Shapes.Deeper(walk); return sum + EqualityComparer<T>.Default.GetHashCode(Value) % 2; }
        [MethodImpl(MethodImplOptions.NoInlining)] public virtual long Map<U>(Walk walk, T first, U second) { var pair = new KeyValuePair<T, U>(first, second); long sum = Shapes.Deeper(walk); return sum + (pair.Value == null ? 0 : typeof(U).Name.Length); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static long Static(Walk walk, T value) { var list = new List<T> { value }; return Shapes.Deeper(walk) + list.Count + typeof(T).Name.Length; }
    }

    class Derived<T> : Holder<T> { public override long Map<U>(Walk walk, T first, U second) => base.Map(walk, first, second) + (first is U ? 1 : 0); }

    struct Two { public object First, Second; }
    struct Three { public object First; public long Middle; public string Last; }
    struct Many { public object A; public int B; public string C; public double D; public Two E; }

    static partial class Shapes
    {
        static readonly IGo[] s_go = { new GoA(), new GoB(), new GoC(), new GoA() };
        static readonly Animal[] s_animals = { new Cat(), new Lion() };

        static long Interfaces(Walk walk) => s_go[walk.Next(4)].Go(walk, walk.Label);
        static long Virtuals(Walk walk) => s_animals[walk.Next(2)].Speak(walk, walk.Label);
        static long Constrained(Walk walk) { var go = new GoC { Kept = walk }; return Constrain(ref go, walk) + (go.Kept == walk ? 1 : 0); }
        [MethodImpl(MethodImplOptions.NoInlining)] static long Constrain<T>(ref T go, Walk walk) where T : IGo => go.Go(walk, walk.Label);

        static long Generics(Walk walk)
        {
            switch (walk.Next(7))
            {
                case 0: return new Holder<string>().Through(walk, walk.Label);
                case 1: return new Holder<int>().Through(walk, 7);
                case 2: return new Holder<Two>().Through(walk, new Two { First = walk });
                case 3: return new Derived<string>().Map<object>(walk, "x", walk);
                case 4: return new Derived<Walk>().Map(walk, walk, (1, walk.Label));
                case 5: return Holder<List<string>>.Static(walk, new List<string> { walk.Label });
                default: return Holder<Guid>.Static(walk, Guid.Empty);
            }
        }

        static long Promoted(Walk walk)
        {
            var three = new Three { First = walk, Middle = 3, Last = walk.Label };
            var copy = Passed(three, new Two { First = three.Last, Second = walk }, walk);
            return copy.Middle + (copy.Last?.Length ?? 0) + (copy.First == null ? 0 : 1);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static Three Passed(Three three, Two two, Walk walk)
        {
            three.Middle += Deeper(walk);
            var returned = Swap(two, walk);
            three.Last = returned.Second as string;
            return three;
        }

        [MethodImpl(MethodImplOptions.NoInlining)] static Two Swap(Two two, Walk walk) => new Two { First = two.Second, Second = walk.Next(2) == 0 ? two.First : walk.Label };

        static long ManyArguments(Walk walk) => Ten(walk, "1", walk.Label, 3, new object(), 5.5, new[] { 6 }, walk, "8", new Many { A = walk, C = "c", E = new Two { Second = "s" } }, 10, "11");

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Ten(Walk walk, string a, string b, int c, object d, double e, int[] f, Walk g, object h, Many i, byte j, string k)
        {
            long sum = Deeper(g) + a.Length + b.Length + c + (long)e + f.Length + j + k.Length;
            GC.KeepAlive(d); GC.KeepAlive(h);
            return sum + (i.A == null ? 0 : i.B) + (i.E.Second?.GetHashCode() ?? 0) % 3;
        }

        static long ByRefs(Walk walk)
        {
            var numbers = new long[8];
            ref long middle = ref numbers[3];
            object kept = walk;
            string text = walk.Label;
            middle = Through(ref numbers[2], ref kept, walk, text.AsSpan(1), out var found);
            return middle + numbers[2] + found.Length + (kept == null ? 0 : 1);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Through(ref long number, ref object kept, Walk walk, ReadOnlySpan<char> text, out string found)
        {
            found = "none";
            number = Deeper(walk);
            found = text.Length > 3 ? text.Slice(1, 2).ToString() : "short";
            kept = found;
            return number + text.Length;
        }

        static unsafe long Stackalloc(Walk walk)
        {
            Span<long> local = stackalloc long[4 + walk.Next(60)];
            byte* bytes = stackalloc byte[walk.Next(500) + 1];
            local[1] = walk.Depth;
            bytes[0] = 3;
            string held = walk.Label;
            local[0] = Deeper(walk) + bytes[0];
            return local[0] + local[1] + held.Length;
        }

        static unsafe long Pinned(Walk walk)
        {
            var bytes = new byte[32];
            fixed (byte* first = bytes)
            fixed (char* text = walk.Label) { first[1] = 1; return Deeper(walk) + first[1] + text[0]; }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Recursion(Walk walk) => Recurse(walk, 20 + walk.Next(200), walk.Label, new object());

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Recurse(Walk walk, int levels, string text, object held)
        {
            if (levels == 0) return Deeper(walk);
            long below = Recurse(walk, levels - 1, text, levels % 7 == 0 ? (object)text : held);
            return below + (held == null ? 0 : 1);
        }

        delegate long Step(Walk walk);

        static long Delegates(Walk walk)
        {
            object captured = walk.Label;
            Func<Walk, long> closed = w => Deeper(w) + captured.GetHashCode() % 2;
            Func<Walk, long> open = Deeper;
            Step many = w => 1;
            many += w => Deeper(w) + 2;
            many += w => ((string)captured).Length;
            switch (walk.Next(3)) { case 0: return closed(walk); case 1: return open(walk); default: return many(walk); }
        }

        static long Reflected(Walk walk)
        {
            if (walk.Next(3) == 0) return ((Made)Activator.CreateInstance(typeof(Made), walk)).Sum;
            return (long)s_reflected.Invoke(null, new object[] { walk, 3, "text" });
        }

        static readonly MethodInfo s_reflected = typeof(Shapes).GetMethod("Invoked", BindingFlags.Static | BindingFlags.NonPublic);
        static long Invoked(Walk walk, int number, string text) => Deeper(walk) + number + text.Length;
        class Made { public readonly long Sum; public Made(Walk walk) { Sum = Deeper(walk); } }

        [MethodImpl(MethodImplOptions.Synchronized | MethodImplOptions.NoInlining)]
        static long Synchronized(Walk walk) => walk.Next(8) == 0 ? Leaves.Run(walk) : walk.Label.Length;

        static long Locked(Walk walk) { var gate = new object(); lock (gate) lock (walk) return Deeper(walk) + gate.GetHashCode() % 2; }

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)] delegate int Compare(IntPtr left, IntPtr right);
        [DllImport("libc")] static extern void qsort(long[] items, IntPtr count, IntPtr size, Compare compare);
        [DllImport("libc")] static extern IntPtr strlen(string text);
        [DllImport("libc", SetLastError = true)] static extern int usleep(uint microseconds);

        static long Callback(Walk walk)
        {
            var items = new long[] { 3, 1, 2 };
            int calls = 0;
            Compare compare = (left, right) => { if (calls++ == 0) Guarded(walk); return Marshal.ReadInt64(left).CompareTo(Marshal.ReadInt64(right)); };
            qsort(items, (IntPtr)3, (IntPtr)8, compare);
            return items[0] + calls;
        }

        static long Native(Walk walk) { long length = (long)strlen(walk.Label); if (walk.Next(60) == 0) usleep(500); return length + Deeper(walk); }

        static long Framework(Walk walk)
        {
            int depth = walk.Depth;
            switch (walk.Next(8))
            {
                case 0: return new[] { 1, 2 }.Select(n => { long sum = n == 1 ? Deeper(walk) : 0; return sum; }).Sum();
                case 1: { var list = new List<string> { "b", "a" }; int calls = 0; list.Sort((a, b) => { if (calls++ == 0) Guarded(walk); return string.CompareOrdinal(a, b); }); return list.Count; }
                case 2: return new Lazy<long>(() => Deeper(walk)).Value;
                case 3: return new ConcurrentDictionary<string, long>().GetOrAdd(walk.Label, key => Deeper(walk) + key.Length);
                case 4: return Regex.Replace("a1b", "[0-9]", match => Guarded(walk).ToString() + match.Value).Length;
                case 5: return string.Create(4, walk, (span, state) => { span.Fill('x'); Guarded(state); }).Length;
                case 6: return new SortedDictionary<Key, int> { [new Key(walk, 1)] = 1, [new Key(null, 2)] = 2 }.Count;
                default: walk.Depth = depth; return Enumerable.Range(0, 3).OrderBy(n => n == 1 ? Guarded(walk) : n).First();
            }
        }

        sealed class Key : IComparable<Key>
        {
            readonly Walk _walk; readonly int _number;
            public Key(Walk walk, int number) { _walk = walk; _number = number; }
            public int CompareTo(Key other) { Walk walk = _walk ?? other._walk; if (walk != null) Guarded(walk); return _number.CompareTo(other._number); }
        }

        static long Resolving(Walk walk)
        {
            if (walk.Next(6) != 0) return Deeper(walk);
            try { return Assembly.Load("Absent" + walk.Next(1 << 20)).GetHashCode(); }
            catch (System.IO.FileNotFoundException error) { return error.Message.Length; }
        }

        static readonly Func<Walk, object, long> s_dynamic = MakeDynamic(false), s_tail = MakeDynamic(true);

        /// <summary>A method without metadata; or one that gives its frame to what it calls, with more arguments than it has itself.</summary>
        static Func<Walk, object, long> MakeDynamic(bool tail)
        {
            var method = new DynamicMethod(tail ? "Tail" : "Dynamic", typeof(long), new[] { typeof(Walk), typeof(object) }, typeof(Shapes).Module, true);
            var il = method.GetILGenerator();
            var local = il.DeclareLocal(typeof(object));
            il.Emit(OpCodes.Ldarg_1); il.Emit(OpCodes.Stloc, local);
            il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldloc, local);
            if (tail)
            {
                for (int i = 0; i < 8; i++) il.Emit(OpCodes.Ldloc, local);
                il.Emit(OpCodes.Tailcall);
                il.Emit(OpCodes.Call, typeof(Shapes).GetMethod("TailCalled", BindingFlags.Static | BindingFlags.NonPublic));
            }
            else
            {
                il.Emit(OpCodes.Call, typeof(Shapes).GetMethod("Called", BindingFlags.Static | BindingFlags.NonPublic));
                il.Emit(OpCodes.Ldloc, local); il.Emit(OpCodes.Callvirt, typeof(object).GetMethod("GetHashCode")); il.Emit(OpCodes.Conv_I8); il.Emit(OpCodes.Add);
            }
            il.Emit(OpCodes.Ret);
            return (Func<Walk, object, long>)method.CreateDelegate(typeof(Func<Walk, object, long>));
        }

        static long Called(Walk walk, object held) => Deeper(walk) + (held == null ? 0 : 1);
        static long TailCalled(Walk walk, object a, object b, object c, object d, object e, object f, object g, object h, object i) { long sum = Deeper(walk); return sum + (a == i && b == h ? 1 : 0) + (c == d && e == f ? 1 : 0) + (g == null ? 0 : 1); }
        static long Dynamic(Walk walk) => s_dynamic(walk, walk.Label);
        static long TailCall(Walk walk) => s_tail(walk, walk.Label);

        static readonly MethodInfo s_loop = typeof(Shapes).GetMethod("Loop", BindingFlags.Static | BindingFlags.NonPublic);
        static int s_loops;

        /// <summary>A loop in a method that was never called before, so that on-stack replacement takes it over while it runs.</summary>
        static long LongLoop(Walk walk)
        {
            if (walk.Next(8) != 0) return Loop<Walk>(walk, 200);
            int size = System.Threading.Interlocked.Increment(ref s_loops) % 200;
            Type type = typeof(Tuple<,>).MakeGenericType(typeof(int), typeof(string));
            for (int i = 0; i < size; i++) type = i % 2 == 0 ? typeof(KeyValuePair<,>).MakeGenericType(typeof(int), size % 2 == 0 ? typeof(long) : typeof(byte)) : typeof(Nullable<>).MakeGenericType(typeof(int));
            return (long)s_loop.MakeGenericMethod(type).Invoke(null, new object[] { walk, 60_000 });
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Loop<T>(Walk walk, int rounds)
        {
            object last = walk;
            string label = walk.Label;
            long sum = 0;
            for (int i = 0; i < rounds; i++)
            {
                sum += label[i % label.Length] * i;
                if (i == rounds - 10) sum += Deeper(walk);
                if (i % 1000 == 0) last = new object[] { label };
                sum ^= last == null ? 1 : 2;
            }
            return sum + typeof(T).Name.Length + label.Length;
        }
    }
}
