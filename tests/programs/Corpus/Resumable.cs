// Shapes that are resumed: iterators, async methods, async iterators; and the table of all shapes.
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Corpus
{
    static partial class Shapes
    {
        static long Iterator(Walk walk)
        {
            long sum = 0;
            foreach (var item in Items(walk, walk.Label)) { sum += item.Length; if (sum > 100) break; }
            return sum;
        }

        static IEnumerable<string> Items(Walk walk, string text)
        {
            try
            {
                yield return text;
                Guarded(walk);
                yield return text + Deeper(walk);
            }
            finally { Guarded(walk); }
        }

        static long Async(Walk walk)
        {
            var task = Awaiting(walk.Branch(), walk.Label);
            if (walk.Next(60) == 0) task.Wait(1); // never longer: threads of the pool wait here too
            return task.IsCompleted ? task.GetAwaiter().GetResult() : 1;
        }

        static async Task<long> Awaiting(Walk walk, string held)
        {
            var local = new object[] { held };
            long sum = 0;
            walk.Limit = Math.Min(walk.Limit, walk.Depth + 4);
            try
            {
                if (walk.Next(2) == 0) await Task.Yield();
                sum = Guarded(walk) + await Value(walk, held);
                if (walk.Next(30) == 0) await Task.Delay(1);
                sum += await Task.Run(() => Guarded(walk));
            }
            catch (Fault fault) { sum += fault.Message.Length; await Task.Yield(); sum += Guarded(walk); }
            finally { sum += local.Length; }
            return sum;
        }

        static async ValueTask<long> Value(Walk walk, string text)
        {
            if (walk.Next(2) == 0) return text.Length;
            await Task.Yield();
            return Deeper(walk);
        }

        static long AsyncIterator(Walk walk) { var task = Consume(walk.Branch()); return task.IsCompleted ? 1 : 2; }

        static async Task<long> Consume(Walk walk)
        {
            long sum = 0;
            walk.Limit = Math.Min(walk.Limit, walk.Depth + 3);
            await foreach (var item in Produce(walk)) sum += item + Guarded(walk);
            return sum;
        }

        static async IAsyncEnumerable<long> Produce(Walk walk)
        {
            for (int i = 0; i < 2; i++)
            {
                if (walk.Next(2) == 0) await Task.Yield();
                yield return Guarded(walk);
            }
        }

        static long Disposing(Walk walk)
        {
            using (new Scope(walk)) using (var second = new Scope(null)) return Deeper(walk) + second.GetHashCode() % 2;
        }

        sealed class Scope : IDisposable
        {
            readonly Walk _walk;
            public Scope(Walk walk) { _walk = walk; }
            public void Dispose() { if (_walk != null) Guarded(_walk); }
        }

        static long LocalFunctions(Walk walk)
        {
            var kept = new object();
            long Inner(int level) => level == 0 ? Deeper(walk) + kept.GetHashCode() % 2 : Inner(level - 1) + 1;
            return Inner(3);
        }

        static long Context(Walk walk)
        {
            long sum = 0;
            ExecutionContext.Run(ExecutionContext.Capture(), state => sum = Deeper((Walk)state), walk);
            return sum;
        }

        public static readonly Func<Walk, long>[] Table =
        {
            TryFinally, WorkInFinally, FinallyInFlight, Catching, WorkInCatch, NestedCatch, Filtered, FilteredAway, Rethrowing, Dispatched,
            HardwareFault, GenericCatch, ThrownFar, ThrownInCatch, Interfaces, Virtuals, Constrained, Generics, Generics, Promoted,
            ManyArguments, ByRefs, Stackalloc, Pinned, Recursion, Delegates, Reflected, Synchronized, Locked, Callback, Native, Framework,
            Framework, Resolving, Dynamic, TailCall, LongLoop, Iterator, Async, AsyncIterator, Disposing, LocalFunctions, Context,
        };
    }
}
