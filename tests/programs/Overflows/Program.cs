using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Overflows
{
    /// <summary>What one frame of a recursion keeps alive, and nothing else does.</summary>
    public sealed class Held
    {
        public int Depth;
    }

    public interface IStep
    {
        int Go(int depth);
    }

    /// <summary>Recursions without end, each frame of which holds an object of its own. The argument says which; READY comes before it.</summary>
    public static class Program
    {
        private static int _answer;

        public static int Main(string[] args)
        {
            Console.WriteLine("FACTS {\"scenario\": \"" + args[0] + "\"}");
            Console.WriteLine("READY " + System.Diagnostics.Process.GetCurrentProcess().Id);
            switch (args[0])
            {
                case "one": _answer = One(0); break;
                case "three": _answer = First(0); break;
                case "generic": _answer = new Walk<string>().Go(0); break;
                case "thread": var thread = new Thread(() => _answer = One(0), 32 << 20) { Name = "deep" }; thread.Start(); thread.Join(); break;
                case "handler": _answer = Catching(0); break;
                case "callback": Sorting(0); break;
            }
            return _answer;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static int One(int depth)
        {
            var held = new Held { Depth = depth };
            var result = One(depth + 1) + 1;
            return result + held.Depth;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static int First(int depth)
        {
            var held = new Held { Depth = depth };
            var result = Second(depth + 1, held);
            return result + held.Depth;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static int Second(int depth, Held above)
        {
            var held = new Held { Depth = depth };
            var result = Third(depth + 1, 1.5) + above.Depth;
            return result + held.Depth;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static int Third(int depth, double share)
        {
            var held = new Held { Depth = depth };
            var result = First(depth + 1) + (int)share;
            return result + held.Depth;
        }

        // Each handler is run by the runtime, on top of the frames that it unwound: the stack grows from within handlers.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static int Catching(int depth)
        {
            var held = new Held { Depth = depth };
            try
            {
                if (depth % 50 == 49) throw new InvalidOperationException();
                return Catching(depth + 1) + held.Depth;
            }
            catch (InvalidOperationException)
            {
                return Catching(depth + 1) + held.Depth;
            }
        }

        // Through native code of the runtime and back, by a comparison that a framework method calls.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Sorting(int depth)
        {
            var held = new Held { Depth = depth };
            Array.Sort(new[] { 2, 1 }, (left, right) => { Sorting(depth + 1); return left - right; });
            GC.KeepAlive(held);
        }

        private sealed class Walk<T> : IStep
        {
            public int Go(int depth)
            {
                var held = new Held { Depth = depth };
                IStep next = depth % 2 == 0 ? (IStep)new Walk<T[]>.Other() : new Walk<string>();
                return next.Go(depth + 1) + held.Depth;
            }

            public sealed class Other : IStep
            {
                public int Go(int depth)
                {
                    var held = new Held { Depth = depth };
                    return new Walk<string>().Go(depth + 1) + held.Depth;
                }
            }
        }
    }
}
