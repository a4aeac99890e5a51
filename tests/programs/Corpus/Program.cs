// Threads that work through methods of every shape for ever, so that a dump stops each at another place: Corpus SEED THREADS [nofilter].
// Every shape calls another one of the table, chosen by the thread's own random numbers, so that one stack mixes many shapes.
using System;
using System.Diagnostics;
using System.Threading;

namespace Corpus
{
    /// <summary>What a shape throws on purpose.</summary>
    class Fault : Exception
    {
        public Fault(string message) : base(message) { }
        public Fault(string message, Exception inner) : base(message, inner) { }
    }

    /// <summary>One thread's walk through the shapes: its random numbers, and how deep it is.</summary>
    sealed class Walk
    {
        uint _state;
        public int Depth;
        public int Limit;
        public string Label;
        public object Kept;

        public Walk(int seed) { _state = (uint)seed * 2654435761u + 12345u; Label = "walk " + seed; }

        public int Next(int below)
        {
            _state ^= _state << 13; _state ^= _state >> 17; _state ^= _state << 5;
            return (int)(_state % (uint)below);
        }

        public Walk Branch() => new Walk(Next(1 << 30)) { Depth = Depth, Limit = Limit };
    }

    static partial class Shapes
    {
        public static bool Filters = true;
        public static long Sink;
        public static int Visited;

        /// <summary>The next shape, or at the limit something that works without calling another.</summary>
        public static long Deeper(Walk walk)
        {
            if (walk.Depth >= walk.Limit) return Leaves.Run(walk);
            int depth = walk.Depth++;
            long result = Table[walk.Next(Table.Length)](walk);
            walk.Depth = depth;
            return result;
        }

        /// <summary>The same where no exception may leave: below native code, in finalizers, in handlers of events.</summary>
        public static long Guarded(Walk walk)
        {
            int depth = walk.Depth;
            try { return Deeper(walk); }
            catch (Exception) { walk.Depth = depth; return 1; }
        }
    }

    static class Program
    {
        static void Main(string[] arguments)
        {
            int seed = int.Parse(arguments[0]), threads = int.Parse(arguments[1]);
            Shapes.Filters = !(arguments.Length > 2 && arguments[2] == "nofilter");
            AppDomain.CurrentDomain.AssemblyResolve += (sender, asked) => { if (asked.Name.StartsWith("Absent")) Shapes.Guarded(new Walk(asked.Name.Length) { Limit = 3 }); return null; };
            for (int i = 0; i < threads; i++)
            {
                int number = i;
                var thread = new Thread(() => Work(seed * 1000 + number, number), 4 << 20) { IsBackground = true, Name = "corpus " + i };
                thread.Start();
            }
            while (Volatile.Read(ref Shapes.Visited) < threads * 5) Thread.Sleep(5);
            Console.WriteLine("FACTS {\"seed\": " + seed + ", \"threads\": " + threads + ", \"shapes\": " + Shapes.Table.Length + "}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id);
            Thread.Sleep(Timeout.Infinite);
        }

        static void Work(int seed, int number)
        {
            if (number == 0) Initializing.Start(seed);
            else Forever(seed, number);
        }

        public static void Forever(int seed, int number)
        {
            var walk = new Walk(seed);
            while (true)
            {
                walk.Depth = 0;
                walk.Limit = 2 + walk.Next(number % 4 == 3 ? 25 : 8);
                try { Shapes.Sink += Shapes.Deeper(walk); }
                catch (Exception error) { walk.Kept = error; }
                Interlocked.Increment(ref Shapes.Visited);
            }
        }
    }

    /// <summary>A class whose static constructor never ends: all that its thread does is below it.</summary>
    static class Initializing
    {
        static int s_seed;

        public static void Start(int seed) { s_seed = seed; Endless.Touch(); }

        static class Endless
        {
            static readonly string Text = "in a static constructor";
            static Endless() { Program.Forever(s_seed + Text.Length, 0); }
            public static void Touch() => Shapes.Sink += Text.Length;
        }
    }
}
