// Threads caught at calls of methods that the runtime itself suspends (.NET 10, DOTNET_RuntimeAsync=1), between the call and the method, whose
// body names a type of an assembly that is not there: compiling it raises AssemblyResolve, whose handler parks. As in RuntimeAsync, each is
// written as one that returns what its task would give, and MethodImplOptions.Async is set in the metadata afterwards (set_async.py there).
// AsyncHelpers is compiled against as a type of System.Runtime.
using System;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace AsyncCalls
{
    public struct Big { public object First; public long Number; public string Last; }

    public class Instance
    {
        [MethodImpl(MethodImplOptions.NoInlining)] public Task<string> Method(object first, int number, string second) { NotThere.Thing.Touch(); return As<string>("method"); }
        static Task<T> As<T>(string text) { return Unsafe.As<Task<T>>(text); }
    }

    public static class Suspended
    {
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> Static(object first, string second) { NotThere.Thing.Touch(); return Unsafe.As<Task<string>>("static"); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> Generic<T>(T first, object second) { NotThere.Thing.Touch(); return Unsafe.As<Task<string>>("generic"); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> Many(object a, int b, string c, object d, object e, object f, string g) { NotThere.Thing.Touch(); return Unsafe.As<Task<string>>("many"); }

        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> OfStatic() { return Unsafe.As<Task<string>>(AsyncHelpers.Await<string>(Static(new int[1], Program.Text(2)))); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> OfGeneric() { return Unsafe.As<Task<string>>(AsyncHelpers.Await<string>(Generic<string>(Program.Text(3), new int[4]))); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> OfMany() { return Unsafe.As<Task<string>>(AsyncHelpers.Await<string>(Many(new int[5], 1, Program.Text(6), new int[7], new int[8], new int[9], Program.Text(10)))); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Task<string> OfInstance() { return Unsafe.As<Task<string>>(AsyncHelpers.Await<string>(new Instance().Method(new int[11], 1, Program.Text(12)))); }
    }

    static class Program
    {
        static int s_parked;
        public static string Text(int number) { return new string('x', number); }
        static void Start(string name, Func<Task<string>> body)
        {
            new Thread(() => GC.KeepAlive(body())) { IsBackground = true, Name = name }.Start();
        }

        static void Main()
        {
            AppDomain.CurrentDomain.AssemblyResolve += (sender, missing) => { if (missing.Name.StartsWith("NotThere")) { Interlocked.Increment(ref s_parked); Thread.Sleep(Timeout.Infinite); } return null; };
            Start("static", Suspended.OfStatic);
            Start("generic", Suspended.OfGeneric);
            Start("many", Suspended.OfMany);
            Start("instance", Suspended.OfInstance);
            while (Volatile.Read(ref s_parked) < 4) Thread.Sleep(20);
            Thread.Sleep(200);
            Console.WriteLine("READY " + System.Diagnostics.Process.GetCurrentProcess().Id);
            Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
