// Where a walk ends: work without further shapes, waits, collections, exceptions thrown.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Text;
using System.Threading;

namespace Corpus
{
    static class Leaves
    {
        static readonly object s_gate = new object();
        static readonly Func<Walk, long>[] Table =
        {
            Spin, Spin, Allocate, Allocate, Text, Sorting, Sleeping, Contended, Throwing, Throwing, Faulting, Dividing, Compiling, Collecting,
            Counting, Decimals, Hashing, Boxes, Casting, Finalizable, Pointers, Yielding, Arrays, Interlocking,
        };

        public static long Run(Walk walk) => Table[walk.Next(Table.Length)](walk);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Spin(Walk walk)
        {
            long sum = walk.Next(100);
            string held = walk.Label;
            for (int i = 0; i < 200000; i++) sum += (sum << 1) ^ i;
            return (sum & 7) + held.Length;
        }

        static long Allocate(Walk walk)
        {
            object last = null;
            for (int i = 0; i < 20; i++) last = new object[] { last == null ? walk : null, new byte[i], i };
            walk.Kept = last;
            return 1;
        }

        static long Text(Walk walk)
        {
            var builder = new StringBuilder();
            for (int i = 0; i < 40; i++) builder.AppendFormat("{0}:{1:x} ", walk.Label, i * 7919);
            return builder.ToString().Split(' ').Select(part => part.ToUpperInvariant()).Where(part => part.Contains('7')).Count();
        }

        static long Sorting(Walk walk)
        {
            var words = Enumerable.Range(0, 60).Select(i => (walk.Next(1000) * i).ToString()).ToList();
            words.Sort((a, b) => string.CompareOrdinal(a, b) + (walk.Label.Length & 1));
            return words[0].Length;
        }

        static long Sleeping(Walk walk) { if (walk.Next(20) == 0) Thread.Sleep(1); return walk.Label.Length; }
        static long Yielding(Walk walk) { if (walk.Next(10) == 0) Thread.Yield(); return walk.Label.Length; }

        static long Contended(Walk walk)
        {
            lock (s_gate) { return walk.Label.Length + RuntimeHelpers.GetHashCode(walk) % 2; }
        }

        static long Throwing(Walk walk) => throw new Fault(walk.Label);

        static long Faulting(Walk walk)
        {
            string nothing = walk.Next(1) == 0 ? null : walk.Label;
            return nothing.Length;
        }

        static long Dividing(Walk walk) { int zero = walk.Next(1); return walk.Limit / zero; }

        static long Compiling(Walk walk)
        {
            if (walk.Next(4) != 0) return 0;
            var method = new DynamicMethod("Made", typeof(int), new[] { typeof(string), typeof(int) }, typeof(Leaves).Module);
            var il = method.GetILGenerator();
            for (int i = 0; i < 60; i++) { il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Callvirt, typeof(string).GetProperty("Length").GetGetMethod()); il.Emit(OpCodes.Starg, 1); }
            il.Emit(OpCodes.Ldarg_1); il.Emit(OpCodes.Ret);
            return ((Func<string, int, int>)method.CreateDelegate(typeof(Func<string, int, int>)))(walk.Label, 1);
        }

        static long Collecting(Walk walk)
        {
            if (walk.Next(600) == 0) GC.Collect(walk.Next(3));
            return GC.CollectionCount(0);
        }

        static long Counting(Walk walk)
        {
            var counts = new Dictionary<string, (int Count, object Last)>();
            for (int i = 0; i < 30; i++)
            {
                string key = "key " + walk.Next(40);
                counts.TryGetValue(key, out var known);
                counts[key] = (known.Count + 1, walk);
            }
            return counts.Count;
        }

        static long Decimals(Walk walk)
        {
            decimal sum = walk.Next(100);
            for (int i = 1; i < 100; i++) sum += 1000m / i;
            return (long)sum;
        }

        static long Hashing(Walk walk)
        {
            uint hash = 2166136261;
            foreach (char letter in walk.Label.PadRight(400, 'x')) hash = (hash ^ letter) * 16777619;
            return hash & 7;
        }

        static long Boxes(Walk walk)
        {
            long sum = 0;
            foreach (object box in new object[] { 1, 2L, 3.5, 'c', walk, (1, walk), new KeyValuePair<string, object>(walk.Label, walk) })
                sum += box switch { int i => i, long l => l, double d => (long)d, ValueTuple<int, Walk> pair => pair.Item1, KeyValuePair<string, object> pair => pair.Key.Length, _ => box.GetHashCode() & 3 };
            return sum;
        }

        static long Casting(Walk walk)
        {
            object some = walk.Next(2) == 0 ? (object)new List<string> { walk.Label } : new[] { walk.Label };
            long sum = 0;
            for (int i = 0; i < 500; i++)
            {
                var read = (IReadOnlyList<object>)some;
                sum += ((string)read[0]).Length + (some is ICollection<string> ? 1 : 0);
            }
            return sum;
        }

        sealed class Dying
        {
            readonly Walk _walk;
            public Dying(Walk walk) { _walk = walk; }
            ~Dying() { if (_walk.Next(3) == 0) Shapes.Guarded(_walk); }
        }

        static long Finalizable(Walk walk)
        {
            for (int i = 0; i < 3; i++) new Dying(new Walk(walk.Next(1000)) { Limit = 3 });
            return 0;
        }

        static unsafe long Pointers(Walk walk)
        {
            long sum = 0;
            fixed (char* text = walk.Label)
            fixed (byte* bytes = new byte[64])
                for (int i = 0; i < 2000; i++) { bytes[i & 63] += (byte)text[i % walk.Label.Length]; sum += bytes[i & 31]; }
            return sum;
        }

        static long Arrays(Walk walk)
        {
            var table = new object[20, 10];
            for (int i = 0; i < 200; i++) table[i % 20, i % 10] = walk;
            object[] covariant = new string[4];
            for (int i = 0; i < 100; i++) covariant[i & 3] = walk.Label;
            Array.Copy(covariant, 0, covariant, 1, 3);
            return table.Length;
        }

        static long Interlocking(Walk walk)
        {
            object kept = null;
            for (int i = 0; i < 300; i++) { Interlocked.Exchange(ref kept, walk); Interlocked.CompareExchange(ref walk.Kept, kept, null); }
            return 1;
        }
    }
}
