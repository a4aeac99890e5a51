// Threads whose references only a Frame of the runtime protects that lives for a moment, or that few programs ever make.
//   calls: unmanaged calls through pointers, each of a signature of its own, so that the runtime is always making the stub of one
//          (PInvokeCalliFrame): the arguments lie where the caller put them.
//   invoke: reflection passes a copy of a value by reference (ProtectValueClassFrame, up to 6.0 on x64), or has the result written into
//          the box that it has made (the return buffer of a PrestubMethodFrame).
using System;
using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Protected
{
    public struct Big { public object First; public long Number; public string Last; public object[] More; }
    public struct Pair<T> { public T Value; public int Number; public object Other; }
    [StructLayout(LayoutKind.Sequential)] public struct Plain { public int Number; public double Real; }
    [StructLayout(LayoutKind.Sequential)] public class Shaped { public int Number; public double Real; }

    static unsafe class Program
    {
        const int LongestSignature = 10;
        static int s_parked;
        static IntPtr s_target;

        static void Park() { Interlocked.Increment(ref s_parked); Thread.Sleep(Timeout.Infinite); }

        static string Text(int number) { return new string('x', number + 1); }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static void TakesNullables(ref Big? big, object between, ref Pair<string>? pair, ref int? number) { Park(); }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public static void TakesStructs(Big big, Pair<string> pair, object last) { Park(); }

        // Its result is written into the box that reflection has made for it. Compiling it raises AssemblyResolve, whose handler parks.
        [MethodImpl(MethodImplOptions.NoInlining)]
        public static Big ReturnsBig(object first, string second) { NotThere.Thing.Touch(); return new Big { First = first, Last = second }; }

        static void Invoke(string method, object[] arguments)
        {
            typeof(Program).GetMethod(method).Invoke(null, arguments);
        }

        static object NewBig(int number) { return new Big { First = new int[number], Number = 1, Last = Text(number), More = new object[number] }; }
        static object NewPair(int number) { return new Pair<string> { Value = Text(number), Number = 2, Other = new int[number] }; }

        // s: a string of the argument's number + 1 characters, o: a Shaped of that number; the others hold no references. What has to be
        // converted for native code, strings for one, makes the call one that needs a stub.
        const string Letters = "soidbp";
        static readonly Type[] s_types = { typeof(string), typeof(Shaped), typeof(int), typeof(double), typeof(bool), typeof(Plain) };

        static Action<string[], Shaped[]> NewCall(int seed)
        {
            var chance = new Random(seed);
            var letters = new char[1 + chance.Next(LongestSignature)];
            for (int index = 0; index < letters.Length; index++)
                letters[index] = index == 0 ? 's' : Letters[chance.Next(Letters.Length)];
            var types = Array.ConvertAll(letters, letter => s_types[Letters.IndexOf(letter)]);
            var method = new DynamicMethod("Call_" + new string(letters) + "_" + seed, typeof(void), new[] { typeof(string[]), typeof(Shaped[]) }, typeof(Program).Module, true);
            var code = method.GetILGenerator();
            var plain = code.DeclareLocal(typeof(Plain));
            for (int index = 0; index < letters.Length; index++)
            {
                switch (letters[index])
                {
                    case 's': code.Emit(OpCodes.Ldarg_0); code.Emit(OpCodes.Ldc_I4, index); code.Emit(OpCodes.Ldelem_Ref); break;
                    case 'o': code.Emit(OpCodes.Ldarg_1); code.Emit(OpCodes.Ldc_I4, index); code.Emit(OpCodes.Ldelem_Ref); break;
                    case 'd': code.Emit(OpCodes.Ldc_R8, 1.5); break;
                    case 'p': code.Emit(OpCodes.Ldloc, plain); break;
                    default: code.Emit(OpCodes.Ldc_I4_1); break;
                }
            }
            code.Emit(OpCodes.Ldc_I8, (long)s_target);
            code.Emit(OpCodes.Conv_I);
            code.EmitCalli(OpCodes.Calli, CallingConvention.Cdecl, typeof(int), types);
            code.Emit(OpCodes.Pop);
            code.Emit(OpCodes.Ret);
            return (Action<string[], Shaped[]>)method.CreateDelegate(typeof(Action<string[], Shaped[]>));
        }

        static void CallForEver(int thread)
        {
            for (int seed = thread * 1000000; ; seed++)
            {
                var texts = new string[LongestSignature];
                var shapes = new Shaped[LongestSignature];
                for (int index = 0; index < LongestSignature; index++)
                {
                    texts[index] = Text(index);
                    shapes[index] = new Shaped { Number = index };
                }
                NewCall(seed)(texts, shapes);
            }
        }

        static void Start(string name, ThreadStart body)
        {
            new Thread(body) { IsBackground = true, Name = name }.Start();
        }

        static void Main(string[] arguments)
        {
            s_target = NativeLibrary.GetExport(NativeLibrary.Load("libc.so.6"), "getpid");
            if (arguments[0] == "calls")
            {
                for (int thread = 1; thread <= int.Parse(arguments[1]); thread++)
                {
                    int number = thread;
                    Start("call-" + number, () => CallForEver(number));
                }
                Thread.Sleep(2000);
            }
            else
            {
                AppDomain.CurrentDomain.AssemblyResolve += (sender, missing) => { if (missing.Name.StartsWith("NotThere")) Park(); return null; };
                Start("nullables", () => Invoke("TakesNullables", new object[] { NewBig(1), new int[2], NewPair(3), 4 }));
                Start("nothing", () => Invoke("TakesNullables", new object[] { null, new int[5], NewPair(6), null }));
                Start("structs", () => Invoke("TakesStructs", new object[] { NewBig(7), NewPair(8), new int[9] }));
                Start("result", () => Invoke("ReturnsBig", new object[] { new int[10], Text(11) }));
                while (Volatile.Read(ref s_parked) < 4) Thread.Sleep(20);
                Thread.Sleep(200);
            }
            Console.WriteLine("READY " + System.Diagnostics.Process.GetCurrentProcess().Id);
            Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
