using System;
using System.Collections;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Collections.ObjectModel;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using System.Threading;

// Every shape of type and collection whose reading is easily got wrong. One static root:
//   Program.Everything (List<object>) -> one object of each shape
//   Program.Weak (ConditionalWeakTable) -> a text attached to each collection
// tests/dumps/test_shapes.py holds what is read against what this file says.
namespace System.Runtime.CompilerServices
{
    // By name alone the runtime knows it since .NET 8; a 6.0 runtime sees a struct with one field.
    [AttributeUsage(AttributeTargets.Struct)] public sealed class InlineArrayAttribute : Attribute { public InlineArrayAttribute(int length) { Length = length; } public int Length { get; } }
}

namespace Shapes
{
    public enum Tiny : sbyte { Below = -1, Zero = 0, One = 1 }
    [Flags] public enum Wide : ulong { None = 0, Low = 1, High = 1UL << 63, Both = Low | High, Middle = 1UL << 32 }

    public struct Spot { public int X, Y; }
    public struct Named { public string Name; public Spot At; }
    [InlineArray(4)] public struct FourNames { private string first; public void Fill(string a) { first = a; } }
    [InlineArray(3)] public struct ThreeSpots { private Named first; public void Fill(Named a) { first = a; } }
    public class Inlined { public int Before = 1; public FourNames Names; public ThreeSpots Spots; public int After = 2; }

    public class Shared<T>
    {
        public KeyValuePair<T, int> Pair; public Dictionary<T, List<T>> Map = new Dictionary<T, List<T>>(); public T[][] Jagged; public T[,] Grid; public (T, long) Tuple;
        public Nested<Spot> Inner; public T Value; public Func<T, T> Self; public T? Maybe; public Level Height; public KeyValuePair<int, KeyValuePair<T, T>> Deep;
        public struct Nested<U> { public T Outer; public U Own; public KeyValuePair<U, T> Both; }
        public enum Level { Ground = 0, Top = 7 }
        public class Sub : Shared<T[]> { public T Own; }
        public static T Last; public static int Count;
    }
    public struct Ring { public object Next; public int Number; }
    public class Derived : Shared<string> { public new int Value = 5; }
    public class Closed<TKey, TValue> : Dictionary<TKey, TValue> { public string Extra = "derived dictionary"; }

    public unsafe class Pointers { public int* Raw; public delegate*<int, void> Function; public delegate*<string, int>[] Functions = new delegate*<string, int>[2]; public void*[] Voids = new void*[1]; public int**[] Twice = new int**[1]; public static delegate*<void> Static; }
    public class Numbers { public Half Half = (Half)1.5; public float Third = 1f / 3; public double Tenth = 0.1; public float NaN = float.NaN; public double Infinite = double.PositiveInfinity; public decimal Small = 0.0001m, Negative = -79228162514264337593543950335m, Zero = 0.00m;
        public DateOnly Day = new DateOnly(2024, 2, 29); public TimeOnly Clock = new TimeOnly(23, 59, 58); public TimeSpan Back = TimeSpan.FromDays(-3.5); public DateTime Local = new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Local), First = DateTime.MinValue, Final = DateTime.MaxValue;
        public DateTimeOffset West = new DateTimeOffset(2024, 7, 18, 18, 44, 0, TimeSpan.FromHours(-5.5)); public Tiny Tiny = Tiny.Below; public Tiny NoName = (Tiny)5; public Wide Flags = Wide.Both | Wide.Middle, Zeroes = Wide.None, Unknown = (Wide)2; public Tiny? SomeTiny = Tiny.One; public Guid? NoGuid; public char Lone = '\uD83D'; public nint Native = -1; public object BoxedEnum = Wide.High, BoxedDate = new DateTime(2001, 2, 3), BoxedBool = true, BoxedChar = 'x', BoxedNullable = (int?)7; }
    public class Collectible<T> { public T Value; public List<T> List = new List<T>(); public KeyValuePair<T, Guid>[] Pairs = new KeyValuePair<T, Guid>[1]; }

    public static class Program
    {
        public static readonly List<object> Everything = new List<object>();
        public static readonly ConditionalWeakTable<object, object> Weak = new ConditionalWeakTable<object, object>();

        static void Collections()
        {
            var stack = new Stack<int>(); for (int i = 0; i < 5; i++) stack.Push(i); stack.Pop(); Everything.Add(stack);
            var ring = new Queue<string>(4); for (int i = 0; i < 4; i++) ring.Enqueue("q" + i); ring.Dequeue(); ring.Dequeue(); ring.Enqueue("q4"); Everything.Add(ring);
            var holes = new Dictionary<int, string>(); for (int i = 0; i < 10; i++) holes[i] = "v" + i; holes.Remove(3); holes.Remove(7); Everything.Add(holes);
            var set = new HashSet<string>(); for (int i = 0; i < 6; i++) set.Add("s" + i); set.Remove("s2"); Everything.Add(set);
            var chunked = new ConcurrentQueue<int>(); for (int i = 0; i < 100; i++) chunked.Enqueue(i); for (int i = 0; i < 40; i++) chunked.TryDequeue(out _); Everything.Add(chunked);
            var cstack = new ConcurrentStack<string>(); cstack.Push("bottom"); cstack.Push("top"); Everything.Add(cstack);
            var bag = new ConcurrentBag<int>(); for (int i = 0; i < 3; i++) bag.Add(i); Everything.Add(bag);
            Everything.Add(new SortedList<string, int> { ["b"] = 2, ["a"] = 1 }); Everything.Add(new SortedSet<int>(Enumerable.Range(0, 50).Reverse()));
            var pq = new PriorityQueue<string, int>(); pq.Enqueue("late", 9); pq.Enqueue("soon", 1); Everything.Add(pq);
            Everything.Add(ImmutableArray.Create(1, 2, 3)); Everything.Add(ImmutableList.CreateRange(Enumerable.Range(0, 20))); Everything.Add(ImmutableList<string>.Empty);
            Everything.Add(ImmutableDictionary.CreateRange(Enumerable.Range(0, 15).Select(i => new KeyValuePair<int, string>(i, "i" + i)))); Everything.Add(ImmutableHashSet.Create("x", "y", "z"));
            Everything.Add(ImmutableSortedDictionary.CreateRange(new[] { new KeyValuePair<string, int>("k2", 2), new KeyValuePair<string, int>("k1", 1) })); Everything.Add(ImmutableSortedSet.Create(3, 1, 2));
            Everything.Add(new ReadOnlyCollection<int>(new[] { 4, 5 }.ToList())); Everything.Add(new ReadOnlyDictionary<string, int>(new Dictionary<string, int> { ["only"] = 1 })); Everything.Add(new ObservableCollection<string> { "seen" });
            Everything.Add(new ArrayList { 1, "two", null }); Everything.Add(Hashtable.Synchronized(new Hashtable { ["h"] = 1, [2] = "two" })); Everything.Add(new Closed<string, int> { ["c"] = 3 });
            var linked = new LinkedList<string>(); linked.AddLast("l1"); linked.AddLast("l2"); Everything.Add(linked);
            var collide = new Dictionary<Collider, int>(); for (int i = 0; i < 4; i++) collide[new Collider { Id = i }] = i; Everything.Add(collide);
            var concurrent = new ConcurrentDictionary<string, Spot>(); for (int i = 0; i < 70; i++) concurrent["c" + i] = new Spot { X = i }; concurrent.TryRemove("c5", out _); Everything.Add(concurrent);
            foreach (var item in Everything.ToArray()) if (item is ICollection) Weak.Add(item, "attached to " + item.GetType().Name);
        }
        public class Collider { public int Id; public override int GetHashCode() => 1; public override bool Equals(object o) => o is Collider c && c.Id == Id; }

        static unsafe void Types()
        {
            var inlined = new Inlined(); inlined.Names.Fill("first"); inlined.Spots.Fill(new Named { Name = "named", At = new Spot { X = 1, Y = 2 } }); Everything.Add(inlined);
            if (Environment.Version.Major >= 8)
            {
                ref var name = ref Unsafe.As<FourNames, string>(ref inlined.Names); for (int i = 1; i < 4; i++) Unsafe.Add(ref name, i) = "name " + i;
                ref var spot = ref Unsafe.As<ThreeSpots, Named>(ref inlined.Spots); Unsafe.Add(ref spot, 2) = new Named { Name = "third", At = new Spot { X = 9, Y = 8 } };
            }
            Everything.Add(new Shared<string> { Pair = new KeyValuePair<string, int>("pair", 42), Jagged = new[] { new[] { "j" } }, Grid = new string[1, 2] { { "g0", "g1" } }, Tuple = ("tuple", 7), Inner = new Shared<string>.Nested<Spot> { Outer = "outer", Own = new Spot { X = 3 }, Both = new KeyValuePair<Spot, string>(new Spot { Y = 4 }, "both") }, Value = "value", Height = Shared<string>.Level.Top, Deep = new KeyValuePair<int, KeyValuePair<string, string>>(1, new KeyValuePair<string, string>("d1", "d2")) });
            Everything.Add(new Shared<Spot> { Pair = new KeyValuePair<Spot, int>(new Spot { X = 5 }, 43), Value = new Spot { X = 6 }, Height = Shared<Spot>.Level.Top, Maybe = new Spot { Y = 1 } });
            Everything.Add(new Shared<string>.Sub { Own = "own", Value = new[] { "array" } }); Everything.Add(new Derived()); Everything.Add(new Pointers { Raw = (int*)0x1234, Function = (delegate*<int, void>)0x5678 }); Everything.Add(new Numbers());
            object ring = new Ring { Number = 1 }; Unsafe.Unbox<Ring>(ring).Next = new Ring { Number = 2, Next = ring }; Everything.Add(ring); // two boxes that refer to each other
            Shared<string>.Last = "last"; Shared<int>.Last = 8; Shared<string>.Count = 1; Everything.Add(new Dictionary<Wide, Tiny[]> { [Wide.Both] = new[] { Tiny.One, (Tiny)9 } });
            Everything.Add(Array.CreateInstance(typeof(Named), new[] { 2, 2 }, new[] { 1, -1 })); Everything.Add(new int[2, 3][]); Everything.Add(new int[2][,]);
        }
        static void Plugin()
        {
            var context = new AssemblyLoadContext("shapes plugin", isCollectible: true); var assembly = context.LoadFromAssemblyPath(typeof(Program).Assembly.Location);
            var spot = assembly.GetType("Shapes.Spot"); var open = assembly.GetType("Shapes.Collectible`1"); var closed = open.MakeGenericType(spot); var made = Activator.CreateInstance(closed);
            ((IList)closed.GetField("List").GetValue(made)).Add(Activator.CreateInstance(spot)); Everything.Add(made); Everything.Add(Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(spot, typeof(string))));
            var unnamed = new AssemblyLoadContext(null, isCollectible: false); Everything.Add(Activator.CreateInstance(unnamed.LoadFromAssemblyPath(typeof(Program).Assembly.Location).GetType("Shapes.Numbers")));
            Everything.Add(Activator.CreateInstance(Assembly.Load(System.IO.File.ReadAllBytes(typeof(Program).Assembly.Location)).GetType("Shapes.Derived")));
        }
        static void Emitted(string name, int fields)
        {
            // enough types for every pool of the metadata that is being written to have more than one segment; past 2047 rows its indexes take 32 bits
            var assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName(name), AssemblyBuilderAccess.Run); var module = assembly.DefineDynamicModule(name); Type before = typeof(object);
            for (int i = 0; i < 300; i++) { var type = module.DefineType(name + ".Type" + i, TypeAttributes.Public, before); for (int k = 0; k < fields; k++) type.DefineField("Field" + i + "_" + k, k == 0 ? typeof(string) : typeof(int), FieldAttributes.Public); before = type.CreateTypeInfo().AsType(); if (i % 100 == 99) before = typeof(object); else if (i % 10 == 9) before = before.BaseType; }
            foreach (var i in new[] { 7, 298 }) { var type = module.GetType(name + ".Type" + i); var made = Activator.CreateInstance(type); type.GetField("Field" + i + "_0").SetValue(made, "emitted " + i); type.GetField("Field" + i + "_3").SetValue(made, i); Everything.Add(made); }
        }
        public static void Main()
        {
            Collections(); Types(); Plugin(); Emitted("Many", 4); Emitted("Wide", 8); GC.Collect();
            Console.WriteLine("FACTS {\"objects\": " + Everything.Count + "}"); Console.WriteLine("READY " + System.Diagnostics.Process.GetCurrentProcess().Id); Console.Out.Flush(); Thread.Sleep(Timeout.Infinite);
        }
    }
}
