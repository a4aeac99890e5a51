using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq.Expressions;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using System.Threading;

// Every way in which a delegate leads to a method, and every place in which a static lies. Roots:
//   Program.Delegates (List<Held>)  -> delegate, the method that it calls as heaphound writes it, its target
//   Program.Roots (List<object>)    -> objects of collectible and emitted types, so that they stay
// tests/dumps/test_callables.py holds what is read against `Held.Expect` and against what this file says of statics.
namespace Callables
{
    public struct Big { public long A, B, C, D; public string Text; }
    public interface IVoice { string Say(int n); }
    public class Host : IVoice
    {
        public string Name = "host"; public virtual string Speak(int n) => Name + n; public string Plain(int n) => Name + n; public string Say(int n) => Name; public static string Still(int n) => "still" + n;
        public Big Large(int n) => new Big { A = n, Text = Name }; public virtual T Echo<T>(T t) => t;
    }
    public class Derived : Host { public override string Speak(int n) => base.Speak(n + 1); public Func<int, string> Base() => base.Speak; public override T Echo<T>(T t) => t; }
    public struct Reed : IVoice { public int Pitch; public string Say(int n) => "reed" + Pitch; public override string ToString() => "a reed"; }
    public class Box<T> { public T Value; public T Get() => Value; public static T Make(T t) => t; public U Turn<U>(U u) => u; public class Inner<U> { public T Both(U u) => default; } }
    public static class Extensions { public static string Extend(this Host h, int n) => h.Name + n; public static T Same<T>(T t) => t; }
    public delegate string Taking(ref int number, out string text, in Big big, int[,] grid, string[][] jagged, int? maybe);

    public class Held { public string Label, Expect; public object Target; public bool Static; public Delegate Call; }

    public enum Tint : byte { Red = 1, Blue = 7 }
    public struct Mixed { public string Text; public int Number; public object Extra; }
    public unsafe class Plain
    {
        public static bool Bool = true; public static byte Byte = 0xFE; public static short Short = -3; public static int Int = -12345; public static long Long = long.MaxValue - 1; public static float Float = 1.5f; public static double Double = Math.PI; public static char Char = 'Z';
        public static IntPtr Native = new IntPtr(0x1234); public static Tint Tint = Tint.Blue; public static decimal Decimal = 1.25m; public static DateTime When = new DateTime(2024, 2, 29, 0, 0, 0, DateTimeKind.Utc); public static Guid Id = new Guid("00112233-4455-6677-8899-aabbccddeeff"); public static int? Some = 5, None;
        public static Mixed Mixed = new Mixed { Text = "mixed text", Number = 9, Extra = new object() }; public static string Text = "plain text", Null; public static object Boxed = 42; public static int[] Numbers = { 1, 2, 3 }; public static IVoice Voice = new Reed { Pitch = 3 }; public static Action Call = () => { };
        public static int* Pointer = (int*)0x5678; public static delegate*<int, void> Function = &Called; public const int Constant = 99; public static readonly byte[] Table = { 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 }; static void Called(int n) { }
        [ThreadStatic] public static string Mine; [ThreadStatic] public static int MyNumber; [ThreadStatic] public static Mixed MyMixed;
    }
    public class Parent { public static string Shared = "of the parent"; public static int Count = 1; } public class Child : Parent { public static string Own = "of the child"; }
    public class Generic<T> { public static T Value; public static string Text; public static int Number; public static Mixed Mixed; [ThreadStatic] public static T PerThread; [ThreadStatic] public static int NumberPerThread; public class Nested<U> { public static KeyValuePair<T, U> Pair; public static string Name; } }
    public class Slow { public static string Early = "early"; public static object Made = new object(); public static string Late; static Slow() { Program.InConstructor.Set(); Program.Never.WaitOne(); Late = "late"; } public static void Touch() { } }
    public class Broken { public static string Before = "before it broke"; public static string After; static Broken() { throw new InvalidOperationException("broken"); } public static void Touch() { } }
    public class Lazily { public static string Never = Environment.MachineName; }

    public static unsafe class Program
    {
        public static readonly List<Held> Delegates = new List<Held>(); public static readonly List<object> Roots = new List<object>(); public static readonly ManualResetEvent InConstructor = new ManualResetEvent(false), Never = new ManualResetEvent(false);
        [DllImport("libc")] static extern int getpid();
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)] delegate int Pid();
        static void Add(string label, Delegate d, string expect, object target = null) => Delegates.Add(new Held { Label = label, Call = d, Expect = expect, Target = target, Static = target == null });
        static int Hot(int n) => n + 1;
        static int Cold(int n) => n - 1;

        static void Simple()
        {
            var host = new Host(); var derived = new Derived { Name = "derived" }; var reed = new Reed { Pitch = 5 }; object boxed = reed; string local(int n) => host.Name + n; static string fixedLocal(int n) => "local";
            Add("static", (Func<int, string>)Host.Still, "Callables.Host.Still(System.Int32)"); Add("instance", (Func<int, string>)host.Plain, "Callables.Host.Plain(System.Int32)", host);
            Func<int, string> virtually = ((Host)derived).Speak; virtually(1); Add("virtual", virtually, "Callables.Derived.Speak(System.Int32)", derived); Add("base", derived.Base(), "Callables.Host.Speak(System.Int32)", derived);
            Add("interface", (Func<int, string>)((IVoice)host).Say, "Callables.Host.Say(System.Int32)", host); Add("boxed struct", (Func<int, string>)((IVoice)boxed).Say, "Callables.Reed.Say(System.Int32)", boxed); Add("boxed override", (Func<string>)boxed.ToString, "Callables.Reed.ToString()", boxed);
            Add("struct through return buffer", (Func<int, Big>)host.Large, "Callables.Host.Large(System.Int32)", host); Add("extension", (Func<int, string>)host.Extend, "Callables.Extensions.Extend(Callables.Host, System.Int32)", host);
            Func<int, string> closure = n => host.Name + n; Add("closure", closure, "Callables.Program+<>c__DisplayClass9_0.<Simple>b__2(System.Int32)", closure.Target); Func<int, string> named = local; Add("local function", named, "Callables.Program+<>c__DisplayClass9_0.<Simple>g__local|0(System.Int32)", named.Target);
            Add("static local function", (Func<int, string>)fixedLocal, "Callables.Program.<Simple>g__fixedLocal|9_1(System.Int32)"); Func<int, string> first = host.Plain; Add("of a delegate", new Func<int, string>(first.Invoke), "System.Func<System.Int32, System.__Canon>.Invoke(System.Int32)", first);
            Func<int, int> hot = Hot; for (int i = 0; i < 200_000; i++) hot(i); Thread.Sleep(300); for (int i = 0; i < 1000; i++) hot(i); Add("hot", hot, "Callables.Program.Hot(System.Int32)"); Add("never called", (Func<int, int>)Cold, "Callables.Program.Cold(System.Int32)");
            Add("internal call", (Func<double, double>)Math.Sin, "System.Math.Sin(System.Double)"); Func<int> pid = getpid; pid(); Add("p/invoke", pid, "Callables.Program.getpid()"); Add("ready-to-run", (Func<string, bool>)string.IsNullOrEmpty, "System.String.IsNullOrEmpty(System.String)");
            Add("signature", (Taking)Takes, "Callables.Program.Takes(System.Int32&, System.String&, Callables.Big&, System.Int32[,], System.String[][], System.Nullable<System.Int32>)");
        }
        static string Takes(ref int number, out string text, in Big big, int[,] grid, string[][] jagged, int? maybe) { text = ""; return ""; }

        static void Generics()
        {
            var strings = new Box<string> { Value = "s" }; var ints = new Box<int>(); var inner = new Box<string>.Inner<int>(); var derived = new Derived();
            Add("shared generic", (Func<string>)strings.Get, "Callables.Box<System.__Canon>.Get()", strings); Add("exact generic", (Func<int>)ints.Get, "Callables.Box<System.Int32>.Get()", ints); Add("nested generic", (Func<int, string>)inner.Both, "Callables.Box<System.__Canon>+Inner<System.Int32>.Both(System.Int32)", inner);
            Add("generic static", (Func<int, int>)Extensions.Same<int>, "Callables.Extensions.Same<System.Int32>(System.Int32)"); Add("shared generic static", (Func<string, string>)Extensions.Same<string>, "Callables.Extensions.Same<System.String>(System.String)");
            Add("static of generic", (Func<int, int>)Box<int>.Make, "Callables.Box<System.Int32>.Make(System.Int32)"); Add("static of shared generic", (Func<string, string>)Box<string>.Make, "Callables.Box<System.String>.Make(System.String)"); Add("generic of generic", (Func<long, long>)strings.Turn<long>, "Callables.Box<System.String>.Turn<System.Int64>(System.Int64)", strings);
            Add("generic virtual", (Func<int, int>)((Host)derived).Echo<int>, "Callables.Derived.Echo<System.Int32>(System.Int32)", derived);
        }

        static T Bind<T>(object target, Type type, string name) where T : Delegate => (T)Delegate.CreateDelegate(typeof(T), target, type.GetMethod(name, BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance));
        static void Reflected()
        {
            var host = new Host(); var derived = new Derived();
            Add("open instance", Bind<Func<Host, int, string>>(null, typeof(Host), "Plain"), "Callables.Host.Plain(System.Int32)"); var open = Bind<Func<Host, int, string>>(null, typeof(Host), "Speak"); Add("open virtual", open, "Callables.Host.Speak(System.Int32)"); var called = Bind<Func<Host, int, string>>(null, typeof(Host), "Speak"); for (int i = 0; i < 500; i++) called(i % 2 == 0 ? host : derived, i); Add("open virtual, called", called, "Callables.Host.Speak(System.Int32)");
            var voice = Bind<Func<IVoice, int, string>>(null, typeof(IVoice), "Say"); Add("open interface", voice, "Callables.IVoice.Say(System.Int32)"); var voiced = Bind<Func<IVoice, int, string>>(null, typeof(IVoice), "Say"); for (int i = 0; i < 500; i++) voiced(host, i); Add("open interface, called", voiced, "Callables.IVoice.Say(System.Int32)");
            Add("open struct return", Bind<Func<Host, int, Big>>(null, typeof(Host), "Large"), "Callables.Host.Large(System.Int32)"); var bound = Bind<Func<int, string>>(host, typeof(Extensions), "Extend"); Add("closed static by reflection", bound, "Callables.Extensions.Extend(Callables.Host, System.Int32)", host);
            var nulled = (Func<int, string>)Delegate.CreateDelegate(typeof(Func<int, string>), null, typeof(Extensions).GetMethod("Extend")); Add("closed over null", nulled, "Callables.Extensions.Extend(Callables.Host, System.Int32)");
            var dynamic = new DynamicMethod("Dyn", typeof(string), new[] { typeof(Host), typeof(int) }, typeof(Program).Module); var il = dynamic.GetILGenerator(); il.Emit(OpCodes.Ldstr, "dynamic"); il.Emit(OpCodes.Ret);
            Add("dynamic open", dynamic.CreateDelegate(typeof(Func<Host, int, string>)), "DynamicClass.Dyn(Callables.Host, System.Int32)"); var closed = (Func<int, string>)dynamic.CreateDelegate(typeof(Func<int, string>), host); closed(1); Add("dynamic closed", closed, "DynamicClass.Dyn(Callables.Host, System.Int32)", host);
            Expression<Func<int, int>> tree = n => n * 3; var compiled = tree.Compile(); compiled(2); Add("expression", compiled, "DynamicClass.lambda_method1(System.Runtime.CompilerServices.Closure, System.Int32)", compiled.Target);
            var native = Marshal.GetDelegateForFunctionPointer<Pid>(NativeLibrary.GetExport(NativeLibrary.Load("libc.so.6"), "getpid")); native(); Add("unmanaged", native, null); Pid passed = getpid; Marshal.GetFunctionPointerForDelegate(passed); Add("passed to native code", passed, "Callables.Program.getpid()");
            Func<int, string> many = host.Plain; many += Host.Still; many += derived.Speak; Add("multicast", many, null, host);
        }

        static void Collectible()
        {
            var context = new AssemblyLoadContext("plugin", isCollectible: true); var assembly = context.LoadFromAssemblyPath(typeof(Program).Assembly.Location); Type type(string name) => assembly.GetType("Callables." + name);
            foreach (var name in new[] { "Plain", "Parent", "Child" }) { RuntimeHelpers.RunClassConstructor(type(name).TypeHandle); Roots.Add(Activator.CreateInstance(type(name))); } type("Plain").GetField("Mine").SetValue(null, "mine in the plugin"); type("Plain").GetField("MyNumber").SetValue(null, 77);
            var generic = type("Generic`1").MakeGenericType(typeof(string)); generic.GetField("Value").SetValue(null, "value in the plugin"); generic.GetField("PerThread").SetValue(null, "per thread in the plugin"); Roots.Add(Activator.CreateInstance(generic));
            var host = Activator.CreateInstance(type("Host")); Roots.Add(host); Add("collectible static", Delegate.CreateDelegate(typeof(Func<int, string>), type("Host").GetMethod("Still")), "Callables.Host.Still(System.Int32)"); Add("collectible instance", Delegate.CreateDelegate(typeof(Func<int, string>), host, type("Host").GetMethod("Plain")), "Callables.Host.Plain(System.Int32)", host);
        }
        static void Emitted(AssemblyBuilderAccess access, string name)
        {
            var assembly = AssemblyBuilder.DefineDynamicAssembly(new AssemblyName(name), access); var builder = assembly.DefineDynamicModule("m").DefineType(name + ".Thing", TypeAttributes.Public); builder.DefineField("Text", typeof(string), FieldAttributes.Public | FieldAttributes.Static); builder.DefineField("Number", typeof(int), FieldAttributes.Public | FieldAttributes.Static);
            var method = builder.DefineMethod("Answer", MethodAttributes.Public | MethodAttributes.Static, typeof(int), new[] { typeof(string) }); var il = method.GetILGenerator(); il.Emit(OpCodes.Ldc_I4, 42); il.Emit(OpCodes.Ret);
            var made = builder.CreateTypeInfo().AsType(); made.GetField("Text").SetValue(null, "emitted " + name); made.GetField("Number").SetValue(null, 4242); Roots.Add(Activator.CreateInstance(made)); Add("emitted " + name, Delegate.CreateDelegate(typeof(Func<string, int>), made.GetMethod("Answer")), name + ".Thing.Answer(System.String)");
        }

        static void SetStatics()
        {
            Plain.Mine = "mine on main"; Plain.MyNumber = 11; Plain.MyMixed = new Mixed { Text = "my mixed", Number = 12 }; Child.Count += Child.Own.Length; Generic<string>.Value = "generic value"; Generic<string>.Text = "text of string"; Generic<int>.Value = 55; Generic<int>.Text = "text of int"; Generic<int>.Number = 56; Generic<Mixed>.Value = new Mixed { Text = "value type argument" }; Generic<Mixed>.Mixed = new Mixed { Text = "mixed in generic" };
            Generic<string>.PerThread = "per thread on main"; Generic<int>.PerThread = 66; Generic<int>.NumberPerThread = 67; Generic<string>.Nested<int>.Pair = new KeyValuePair<string, int>("pair", 5); Generic<string>.Nested<int>.Name = "nested name";
            new Thread(() => { Plain.Mine = "mine on second"; Plain.MyNumber = 22; Generic<string>.PerThread = "per thread on second"; Thread.Sleep(Timeout.Infinite); }) { IsBackground = true, Name = "second" }.Start();
            new Thread(() => Slow.Touch()) { IsBackground = true, Name = "in a static constructor" }.Start(); InConstructor.WaitOne(); try { Broken.Touch(); } catch (TypeInitializationException) { }
        }

        public static void Main()
        {
            Simple(); Generics(); Reflected(); Collectible(); Emitted(AssemblyBuilderAccess.Run, "Emitted"); Emitted(AssemblyBuilderAccess.RunAndCollect, "Unloadable"); SetStatics(); Thread.Sleep(300);
            Console.WriteLine("FACTS {\"delegates\": " + Delegates.Count + ", \"main_thread\": " + Environment.CurrentManagedThreadId + "}"); Console.WriteLine("READY " + Process.GetCurrentProcess().Id); Console.Out.Flush(); Thread.Sleep(Timeout.Infinite); GC.KeepAlive(Delegates);
        }
    }
}
