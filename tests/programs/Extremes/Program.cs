// Processes at the edge: each scenario makes one, prints FACTS and READY, and sleeps, works on or dies as its name says.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Threading;

namespace Extremes
{
    public class Plugin { public static byte[] Blob = new byte[20_000]; public Plugin Next; public byte[] State = new byte[100]; }

    public class Order { public int Number; public string Customer; public Order Previous; public byte[] Lines; }

    public static class Program
    {
        private static readonly List<object> Kept = new List<object>();
        private static readonly List<WeakReference> Contexts = new List<WeakReference>();
        private static readonly Order[] Ring = new Order[200_000];

        public static void Main(string[] arguments)
        {
            int count = arguments.Length > 1 ? int.Parse(arguments[1]) : 0;
            switch (arguments[0])
            {
                case "contexts": MakeContexts(count); break;
                case "types": MakeTypes(count); break;
                case "threads": MakeThreads(count); break;
                case "collecting": Collect(); break;
                case "segfault": Ready("segfault", 0); Crash(); break;
                case "unhandled": Ready("unhandled", 0); Throw(); break;
                case "overflow": Ready("overflow", 0); Console.WriteLine(Recurse(1)); break;
                case "failfast": Ready("failfast", 0); Environment.FailFast("an order is lost"); break;
                default: throw new ArgumentException("unknown scenario " + arguments[0]);
            }
            Ready(arguments[0], count);
            Thread.Sleep(Timeout.Infinite);
        }

        private static void Ready(string scenario, int count)
        {
            Console.WriteLine("FACTS {\"scenario\": \"" + scenario + "\", \"count\": " + count + ", \"alive\": " + Contexts.FindAll(c => c.IsAlive).Count + "}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id);
            Console.Out.Flush();
        }

        // Of each three contexts: one is used, one is unloading but still held by an object, one is unloaded and gone.
        private static void MakeContexts(int count)
        {
            for (int i = 0; i < count; i++) OneContext(i);
            for (int i = 0; i < 10; i++) { GC.Collect(); GC.WaitForPendingFinalizers(); }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void OneContext(int i)
        {
            var context = new AssemblyLoadContext("plugin" + i, true);
            var assembly = context.LoadFromStream(new MemoryStream(File.ReadAllBytes(typeof(Program).Assembly.Location)));
            var plugin = Activator.CreateInstance(assembly.GetType("Extremes.Plugin"));
            plugin.GetType().GetField("Blob").GetValue(null);
            if (i % 3 != 2) Kept.Add(plugin);
            if (i % 3 != 0) context.Unload();
            Contexts.Add(new WeakReference(context));
        }

        private static void MakeTypes(int count)
        {
            ModuleBuilder module = null;
            for (int i = 0; i < count; i++)
            {
                // One assembly for all would take time with the square of their number.
                if (i % 1000 == 0)
                {
                    var name = new AssemblyName("Generated" + i);
                    module = AssemblyBuilder.DefineDynamicAssembly(name, AssemblyBuilderAccess.Run).DefineDynamicModule(name.Name);
                }
                var type = module.DefineType("Generated.Type" + i, TypeAttributes.Public);
                type.DefineField("Value" + i, typeof(object), FieldAttributes.Public);
                if (i % 10 == 0) type.DefineField("Shared", typeof(object), FieldAttributes.Public | FieldAttributes.Static);
                var made = type.CreateType();
                var one = Activator.CreateInstance(made);
                made.GetField("Value" + i).SetValue(one, made.Name);
                if (i % 10 == 0) made.GetField("Shared").SetValue(null, one);
                Kept.Add(one);
            }
        }

        private static void MakeThreads(int count)
        {
            using var started = new CountdownEvent(count);
            for (int i = 0; i < count; i++)
            {
                var thread = new Thread(() => { var local = new byte[1000]; started.Signal(); Thread.Sleep(Timeout.Infinite); GC.KeepAlive(local); }, 65536);
                thread.IsBackground = true;
                thread.Name = "waiter-" + i;
                thread.Start();
            }
            started.Wait();
        }

        // Collects all the time, on a heap where every collection has links to follow and objects to move.
        private static void Collect()
        {
            var random = new Random(1);
            for (int i = 0; ; i++)
            {
                int slot = random.Next(Ring.Length);
                Ring[slot] = new Order { Number = i, Customer = "customer " + i, Previous = Ring[random.Next(Ring.Length)], Lines = new byte[random.Next(200)] };
                if (Ring[slot].Previous != null) Ring[slot].Previous.Previous = null;
                if (i == 1_000_000) Ready("collecting", i);
                if (i > 1_000_000 && i % 50_000 == 0) GC.Collect(2, GCCollectionMode.Forced, true, true);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Throw()
        {
            try { throw new InvalidOperationException("no stock"); }
            catch (InvalidOperationException inner) { throw new ApplicationException("the order failed", inner); }
        }

        [DllImport("libc", EntryPoint = "memset")]
        private static extern IntPtr Fill(IntPtr where, int value, IntPtr size);

        // A fault in native code, which the runtime does not turn into a NullReferenceException.
        private static void Crash() => Fill(new IntPtr(4096), 1, new IntPtr(16));

        private static int Recurse(int depth) => depth < 0 ? 0 : Recurse(depth + 1) + Recurse(depth + 2);
    }
}
