// Threads caught between a call and the method that is called: there the runtime has pushed a Frame that protects the arguments.
// Most bodies name a type of an assembly that is not there: compiling them raises AssemblyResolve on the caller's thread, which parks in
// the handler (PrestubMethodFrame). The others are in ready-to-run code of the framework when it loads a further assembly of its own
// (ExternalMethodFrame, DynamicHelperFrame, StubDispatchFrame), and park in the handler of AssemblyLoad.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Calls
{
    struct Small { public object Held; public int Number; [MethodImpl(MethodImplOptions.NoInlining)] public void Method(object other, string text) { NotThere.Thing.Touch(); } }
    struct Half { public double Number; public string Text; }
    struct Floats { public float A, B, C; }
    struct Big { public object First; public long Number; public string Last; }
    struct Nested { public Small Inner; public object Outer; }
    struct Pair<T> { public T Value; public int Number; [MethodImpl(MethodImplOptions.NoInlining)] public void Method(object other, T text) { NotThere.Thing.Touch(); } }
    [StructLayout(LayoutKind.Explicit)] struct Union { [FieldOffset(0)] public object Held; [FieldOffset(8)] public long Number; [FieldOffset(8)] public double Real; }
    enum Colour : byte { Red, Green }

    interface IAct { void Act(object other, string text); }
    class Actor : IAct { [MethodImpl(MethodImplOptions.NoInlining)] public void Act(object other, string text) { NotThere.Thing.Touch(); } }
    struct ActingStruct : IAct { public object Held; [MethodImpl(MethodImplOptions.NoInlining)] public void Act(object other, string text) { NotThere.Thing.Touch(); } }
    class Base { [MethodImpl(MethodImplOptions.NoInlining)] public virtual object Virtual(object other, int number, string text) { NotThere.Thing.Touch(); return null; } }
    class Derived : Base { [MethodImpl(MethodImplOptions.NoInlining)] public override object Virtual(object other, int number, string text) { NotThere.Thing.Touch(); return other; } }
    class Box<T>
    {
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Static(T value, object other) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public void Instance(T value, object other) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public void Catching(T value) { try { Thrower(value); } catch (InvalidOperationException) { Program.Park(); Program.Use(value); } }
        [MethodImpl(MethodImplOptions.NoInlining)] void Thrower(T value) { throw new InvalidOperationException(typeof(T).Name); }
        [MethodImpl(MethodImplOptions.NoInlining)] public U Both<U>(T value, U other, object more) { NotThere.Thing.Touch(); return other; }
    }

    class SlowStatics
    {
        static SlowStatics() { Program.Park(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Method(object first, int number, string second) { Program.Use(first); }
    }

    static class Targets
    {
        [MethodImpl(MethodImplOptions.NoInlining)] public static void References(object first, string second, object[] third) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Mixed(int a, object b, double c, string d, float e, object f, long g, object h, object i, byte j, object k, double l) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void ManyFloats(double a, double b, float c, double d, double e, double f, double g, double h, double i, object j, Half k) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Structs(Small a, Half b, Big c, object d, Nested e, Union f, Floats g, string h) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void StructsOnStack(object a, Small b, object c, Small d, Small e, object f) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void ByReferences(ref int a, ref object b, in Big c, out string d, ref Small e) { NotThere.Thing.Touch(); d = null; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Spans(Span<byte> a, ReadOnlySpan<char> b, object c, Memory<byte> d, ReadOnlySpan<object> e) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Values(decimal a, Guid b, DateTime c, int? d, object e, Colour f, (object, string) g, KeyValuePair<string, object> h, IntPtr i, object j) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static unsafe void Pointers(int* a, object b, void* c, string d, char e, bool f, object g) { NotThere.Thing.Touch(); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Big ReturnsBig(object a, string b) { NotThere.Thing.Touch(); return default; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Small ReturnsSmall(object a, string b) { NotThere.Thing.Touch(); return default; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Half ReturnsHalf(object a, string b) { NotThere.Thing.Touch(); return default; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static T Generic<T>(T a, object b, T[] c) { NotThere.Thing.Touch(); return a; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static Big GenericReturnsBig<T>(T a, object b) { NotThere.Thing.Touch(); return default; }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Vectors(System.Numerics.Vector4 a, object b, System.Numerics.Vector<float> c, string d, System.Numerics.Vector2 e, object f, object g) { NotThere.Thing.Touch(); }
    }

    class Instance
    {
        [MethodImpl(MethodImplOptions.NoInlining)] public Big ReturnsBig(object a, string b) { NotThere.Thing.Touch(); return default; }
        [MethodImpl(MethodImplOptions.NoInlining)] public void Method(object a, int b, string c, object d, object e, object f, object g, string h) { NotThere.Thing.Touch(); }
        public Instance() { }
        public Instance(object first, string second) { NotThere.Thing.Touch(); }
    }

    static class Program
    {
        [ThreadStatic] static bool t_parkAtLoad;
        static int s_parked;
        static readonly List<Thread> s_threads = new List<Thread>();

        [MethodImpl(MethodImplOptions.NoInlining)] public static void Park() { Interlocked.Increment(ref s_parked); Thread.Sleep(Timeout.Infinite); }
        [MethodImpl(MethodImplOptions.NoInlining)] public static void Use(object value) { GC.KeepAlive(value); }

        static void Start(string name, Action body)
        {
            var thread = new Thread(() => { try { body(); } catch (Exception) { } }) { IsBackground = true, Name = name };
            s_threads.Add(thread);
            thread.Start();
        }

        // Calls into the framework's own ready-to-run code, with the body compiled already: what is loaded then, that code asks for.
        static void InFramework(string name, Action body)
        {
            RuntimeHelpers.PrepareMethod(body.Method.MethodHandle);
            Start(name, () => { t_parkAtLoad = true; body(); });
        }

        static string Text(int number) => new string('x', number + 1);

        static void All()
        {
            AppDomain.CurrentDomain.AssemblyResolve += (sender, arguments) => { if (arguments.Name.StartsWith("NotThere")) Park(); return null; };
            AppDomain.CurrentDomain.AssemblyLoad += (sender, arguments) => { if (t_parkAtLoad) { t_parkAtLoad = false; Park(); } };
            Start("references", () => Targets.References(new object(), Text(1), new object[3]));
            Start("mixed", () => Targets.Mixed(1, new object(), 2.5, Text(2), 3.5f, new int[1], 4, new int[2], new int[3], 5, new int[4], 6.5));
            Start("many-floats", () => Targets.ManyFloats(1, 2, 3, 4, 5, 6, 7, 8, 9, new object(), new Half { Number = 1, Text = Text(3) }));
            Start("structs", () => Targets.Structs(new Small { Held = new int[5], Number = 1 }, new Half { Number = 2, Text = Text(4) }, new Big { First = new int[6], Number = 3, Last = Text(5) }, new object(),
                new Nested { Inner = new Small { Held = new int[7] }, Outer = new int[8] }, new Union { Held = new int[9], Number = 4 }, new Floats { A = 1 }, Text(6)));
            Start("structs-on-stack", () => Targets.StructsOnStack(new int[10], new Small { Held = new int[11] }, new int[12], new Small { Held = new int[13] }, new Small { Held = new int[14] }, new int[15]));
            Start("by-references", () => { int number = 1; var held = new object[] { new int[16] }; var big = new Big { First = new int[17], Last = Text(7) }; var smalls = new Small[2]; smalls[1].Held = new int[18]; Targets.ByReferences(ref number, ref held[0], in big, out _, ref smalls[1]); });
            Start("spans", () => { var bytes = new byte[40]; var objects = new object[6]; Targets.Spans(bytes.AsSpan(8, 4), Text(8).AsSpan(1), new int[19], bytes.AsMemory(4), objects.AsSpan(2)); });
            Start("values", () => Targets.Values(1.5m, Guid.NewGuid(), DateTime.UtcNow, 7, new int[20], Colour.Green, (new int[21], Text(9)), new KeyValuePair<string, object>(Text(10), new int[22]), IntPtr.Zero, new int[23]));
            Start("pointers", () => { unsafe { int number = 5; Targets.Pointers(&number, new int[24], null, Text(11), 'c', true, new int[25]); } });
            Start("returns-big", () => Use(Targets.ReturnsBig(new int[26], Text(12)).First));
            Start("returns-small", () => Use(Targets.ReturnsSmall(new int[27], Text(13)).Held));
            Start("returns-half", () => Use(Targets.ReturnsHalf(new int[28], Text(14)).Text));
            Start("generic", () => Targets.Generic(Text(15), new int[29], new string[2]));
            Start("generic-value", () => Targets.Generic(new Small { Held = new int[30] }, new int[31], new Small[2]));
            Start("generic-returns-big", () => Use(Targets.GenericReturnsBig(Text(16), new int[32]).First));
            Start("vectors", () => Targets.Vectors(default, new int[33], default, Text(17), default, new int[34], new int[35]));
            Start("static-of-generic", () => Box<string>.Static(Text(18), new int[36]));
            Start("instance-of-generic", () => new Box<string>().Instance(Text(19), new int[37]));
            Start("generic-of-generic", () => new Box<string>().Both(Text(20), new int[38], new int[39]));
            Start("struct-method", () => new Small { Held = new int[40] }.Method(new int[41], Text(21)));
            Start("boxed-struct-method", () => { IAct boxed = new ActingStruct { Held = new int[42] }; boxed.Act(new int[43], Text(22)); });
            Start("generic-struct-method", () => new Pair<string> { Value = Text(23) }.Method(new int[44], Text(24)));
            Start("struct-in-array", () => { var pairs = new Pair<string>[3]; pairs[1].Method(new int[45], Text(25)); });
            Start("interface", () => { IAct actor = new Actor(); actor.Act(new int[46], Text(26)); });
            Start("virtual", () => { Base derived = new Derived(); derived.Virtual(new int[47], 1, Text(27)); });
            Start("instance", () => new Instance().Method(new int[48], 1, Text(28), new int[49], new int[50], new int[51], new int[52], Text(29)));
            Start("instance-returns-big", () => Use(new Instance().ReturnsBig(new int[53], Text(30)).First));
            Start("constructor", () => Use(new Instance(new int[54], Text(31))));
            Start("delegate", () => { Action<object, string, object[]> action = Targets.References; action(new int[55], Text(32), new object[4]); });
            Start("exception", () => new Box<string>().Catching(Text(42)));
            Start("class-initializer", () => SlowStatics.Method(new int[56], 1, Text(33)));

            InFramework("xml", () => Use(System.Xml.Linq.XDocument.Parse("<a b='c'/>")));
            InFramework("expressions", () => Use(System.Linq.Expressions.Expression.Lambda<Func<string>>(System.Linq.Expressions.Expression.Constant(Text(34))).Compile()()));
            InFramework("http", () => Use(new System.Net.Http.HttpClient().GetAsync("http://127.0.0.1:9/").Result));
            InFramework("json", () => Use(System.Text.Json.JsonSerializer.Serialize(new Dictionary<string, object> { ["a"] = new object[] { 1, Text(35) } })));
            InFramework("zip", () => Use(new System.IO.Compression.ZipArchive(new System.IO.MemoryStream(), System.IO.Compression.ZipArchiveMode.Create).CreateEntry(Text(36))));
            InFramework("mail", () => Use(new System.Net.Mail.MailMessage("a@example.org", "b@example.org", Text(37), Text(38))));
            InFramework("data", () => { var table = new System.Data.DataTable(Text(39)); table.Columns.Add(Text(40), typeof(string)); table.Rows.Add(Text(41)); table.WriteXml(new System.IO.MemoryStream()); });
            InFramework("certificates", () => Use(new System.Security.Cryptography.X509Certificates.X509Certificate2(new byte[5])));
            InFramework("process", () => Use(System.Diagnostics.Process.GetCurrentProcess().Modules));
        }

        static void Main()
        {
            All();
            for (int last = -1, calm = 0; calm < 10; Thread.Sleep(100)) { calm = s_parked == last ? calm + 1 : 0; last = s_parked; }
            Console.WriteLine("FACTS {\"parked\": " + s_parked + ", \"threads\": " + s_threads.Count + "}");
            Console.WriteLine("READY " + System.Diagnostics.Process.GetCurrentProcess().Id);
            Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
