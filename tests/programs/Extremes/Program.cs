// Processes at the edge: each scenario makes one, prints FACTS and READY, and sleeps, works on or dies as its name says.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime;
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
                case "heaps": MakeHeaps(count); break;
                case "emitted": MakeEmitted(count); break;
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

        // Every heap of the collector in use: large objects moved together, the pinned heap with gaps, pinned objects among others.
        private static void MakeHeaps(int count)
        {
            for (int i = 0; i < count; i++)
            {
                var large = new byte[100_000 + i];
                var pinned = GC.AllocateArray<byte>(50_000 + i, pinned: true);
                var held = new Order { Number = i, Lines = new byte[500] };
                if (i % 2 == 0) { Kept.Add(large); Kept.Add(pinned); }
                if (i % 3 == 0) GCHandle.Alloc(held.Lines, GCHandleType.Pinned);
                if (i % 5 == 0) Kept.Add(held);
            }
            GCSettings.LargeObjectHeapCompactionMode = GCLargeObjectHeapCompactionMode.CompactOnce;
            GC.Collect(2, GCCollectionMode.Forced, true, true);
            Kept.Add(GC.AllocateArray<Order>(100, pinned: false));
            Kept.Add("a literal, which newer runtimes put into a heap of their own");
        }

        // Of each two emitted assemblies that can be collected one is held by an object of its type, one is gone; each has a static. A thread
        // waits inside a dynamic method, and delegates hold others.
        private static void MakeEmitted(int count)
        {
            for (int i = 0; i < count; i++) OneEmitted(i);
            for (int i = 0; i < 10; i++) { GC.Collect(); GC.WaitForPendingFinalizers(); }
            for (int i = 0; i < count; i++)
            {
                var method = new DynamicMethod("Add" + i, typeof(int), new[] { typeof(int) }, typeof(Program).Module);
                var il = method.GetILGenerator();
                il.Emit(OpCodes.Ldarg_0); il.Emit(OpCodes.Ldc_I4, i); il.Emit(OpCodes.Add); il.Emit(OpCodes.Ret);
                var add = (Func<int, int>)method.CreateDelegate(typeof(Func<int, int>));
                Kept.Add(add(1) == i + 1 ? (object)add : null);
            }
            var started = new ManualResetEventSlim();
            var wait = new DynamicMethod("WaitInside", null, new[] { typeof(ManualResetEventSlim), typeof(Order) }, typeof(Program).Module);
            var body = wait.GetILGenerator();
            body.Emit(OpCodes.Ldarg_0); body.Emit(OpCodes.Call, typeof(ManualResetEventSlim).GetMethod("Set"));
            body.Emit(OpCodes.Ldc_I4_M1); body.Emit(OpCodes.Call, typeof(Thread).GetMethod("Sleep", new[] { typeof(int) }));
            body.Emit(OpCodes.Ldarg_1); body.Emit(OpCodes.Call, typeof(GC).GetMethod("KeepAlive")); body.Emit(OpCodes.Ret);
            var inside = (Action<ManualResetEventSlim, Order>)wait.CreateDelegate(typeof(Action<ManualResetEventSlim, Order>));
            new Thread(() => inside(started, new Order { Number = count })) { IsBackground = true, Name = "inside" }.Start();
            started.Wait();
            Thread.Sleep(200);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void OneEmitted(int i)
        {
            var name = new AssemblyName("Emitted" + i);
            var module = AssemblyBuilder.DefineDynamicAssembly(name, AssemblyBuilderAccess.RunAndCollect).DefineDynamicModule(name.Name);
            var type = module.DefineType("Emitted.Item", TypeAttributes.Public);
            type.DefineField("Held", typeof(object), FieldAttributes.Public);
            type.DefineField("Last", typeof(object), FieldAttributes.Public | FieldAttributes.Static);
            var made = type.CreateType();
            var one = Activator.CreateInstance(made);
            made.GetField("Held").SetValue(one, Activator.CreateInstance(typeof(List<>).MakeGenericType(made)));
            made.GetField("Last").SetValue(null, one);
            if (i % 2 == 0) Kept.Add(one);
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
