// Shapes with handlers: try, catch, finally, fault, filters, nested and rethrown exceptions, hardware faults.
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Corpus
{
    static partial class Shapes
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        static bool Asks(Walk walk, Exception error, string held) { Guarded(walk.Branch()); return error.Message != held; }

        static long TryFinally(Walk walk)
        {
            var before = new object[] { walk };
            long sum = 0;
            try { sum = Deeper(walk); }
            finally { sum += before.Length; }
            return sum + before.Length;
        }

        static long WorkInFinally(Walk walk)
        {
            string text = walk.Label;
            long sum = 0;
            try { sum += text.Length; }
            finally { sum += Deeper(walk) + text.Length; }
            return sum;
        }

        static long FinallyInFlight(Walk walk)
        {
            int depth = walk.Depth;
            var held = new List<object> { walk };
            try
            {
                try { throw new Fault(walk.Label); }
                finally { held.Add(Guarded(walk)); walk.Depth = depth; }
            }
            catch (Fault fault) { return fault.Message.Length + held.Count; }
        }

        static long Catching(Walk walk)
        {
            int depth = walk.Depth;
            string name = walk.Label;
            try { return Deeper(walk); }
            catch (Fault fault) { walk.Depth = depth; return fault.Message.Length + name.Length; }
        }

        static long WorkInCatch(Walk walk)
        {
            int depth = walk.Depth;
            object held = new object[3];
            try { throw new Fault(walk.Label); }
            catch (Fault fault) { walk.Depth = depth; long sum = Deeper(walk) + ((object[])held).Length; return sum + fault.Message.Length; }
        }

        static long NestedCatch(Walk walk)
        {
            int depth = walk.Depth;
            try { throw new Fault("outer"); }
            catch (Fault outer)
            {
                try { throw new InvalidOperationException("inner", outer); }
                catch (InvalidOperationException inner)
                {
                    try { walk.Depth = depth; return Deeper(walk) + inner.Message.Length; }
                    catch (Fault third) { walk.Depth = depth; return third.Message.Length + outer.Message.Length; }
                }
            }
        }

        static long Filtered(Walk walk)
        {
            if (!Filters) return Catching(walk);
            int depth = walk.Depth;
            string held = walk.Label + "?";
            var local = new object[] { held };
            try { throw new Fault(walk.Label); }
            catch (Fault fault) when (Asks(walk, fault, held)) { walk.Depth = depth; return Deeper(walk) + local.Length; }
        }

        static long FilteredAway(Walk walk)
        {
            if (!Filters) return Catching(walk);
            int depth = walk.Depth;
            try
            {
                try { return Deeper(walk); }
                catch (Fault fault) when (!Asks(walk, fault, null)) { return 0; }
                finally { walk.Depth = depth; }
            }
            catch (Fault fault) { walk.Depth = depth; return fault.Message.Length; }
        }

        static long Rethrowing(Walk walk)
        {
            int depth = walk.Depth;
            object held = walk.Label;
            try
            {
                try { return Deeper(walk); }
                catch (Fault) { held = null; walk.Depth = depth; Guarded(walk); throw; }
            }
            catch (Fault fault) { walk.Depth = depth; return Deeper(walk) + fault.Message.Length; }
        }

        static long Dispatched(Walk walk)
        {
            int depth = walk.Depth;
            ExceptionDispatchInfo captured = null;
            try { throw new Fault("captured"); }
            catch (Fault fault) { captured = ExceptionDispatchInfo.Capture(fault); }
            try { captured.Throw(); return 0; }
            catch (Fault fault) when (fault.Message.Length > 0 && Filters) { walk.Depth = depth; return Deeper(walk); }
            catch (Fault fault) { walk.Depth = depth; return Deeper(walk) + fault.Message.Length; }
        }

        static long HardwareFault(Walk walk)
        {
            int depth = walk.Depth;
            Walk nothing = walk.Next(1) == 0 ? null : walk;
            try { return nothing.Depth; }
            catch (NullReferenceException error) { walk.Depth = depth; return Deeper(walk) + error.HResult % 2; }
        }

        static long GenericCatch(Walk walk) => walk.Next(2) == 0 ? new Catcher<Fault>().Run(walk, walk.Label) : new Catcher<InvalidOperationException>().Run(walk, "none");

        sealed class Catcher<T> where T : Exception
        {
            T _last;

            [MethodImpl(MethodImplOptions.NoInlining)]
            public long Run(Walk walk, object held)
            {
                int depth = walk.Depth;
                try { return Deeper(walk) + held.GetHashCode() % 3; }
                catch (T error) { _last = error; walk.Depth = depth; return Deeper(walk) + typeof(T).Name.Length + held.GetHashCode() % 2; }
            }
        }

        static long ThrownFar(Walk walk)
        {
            int depth = walk.Depth;
            try { return Thrower(walk, 5 + walk.Next(20), new object()); }
            catch (Fault fault) { walk.Depth = depth; return fault.Message.Length; }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static long Thrower(Walk walk, int levels, object held)
        {
            if (levels == 0) throw new Fault(walk.Label);
            try { return Thrower(walk, levels - 1, new[] { held }) + 1; }
            finally { if (levels == 3) Guarded(walk); GC.KeepAlive(held); }
        }

        static long ThrownInCatch(Walk walk)
        {
            int depth = walk.Depth;
            try
            {
                try { return Deeper(walk); }
                catch (Exception first) { walk.Depth = depth; throw new Fault("second", first); }
                finally { Guarded(walk); walk.Depth = depth; }
            }
            catch (Fault second) { walk.Depth = depth; return second.Message.Length; }
        }
    }
}
