// A process that a collection has begun to suspend and never gets suspended: one thread waits in native code that the runtime takes for
// managed (SuppressGCTransition). Each other thread stands for ever where the suspension stopped it: diverted on its way back from a method
// (HijackFrame), interrupted by a signal in a loop, or held up where native code calls back into managed code, or returns to it.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Suspended
{
    struct Two { public object First; public string Second; }
    struct Half { public long Number; public object Held; }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    delegate int Comparer(IntPtr left, IntPtr right);

    static unsafe class Program
    {
        [DllImport("libc.so.6")] static extern int pipe(int* ends);
        [DllImport("libc.so.6"), SuppressGCTransition] static extern IntPtr read(int end, byte* buffer, UIntPtr count);
        [DllImport("libc.so.6")] static extern void qsort(int* items, UIntPtr count, UIntPtr size, Comparer comparer);
        [DllImport("libc.so.6")] static extern int getppid();
        [DllImport("libc.so.6")] static extern int system(string command);

        static int s_working;
        static long s_sum;
        static int[] s_numbers = new int[64];

        [MethodImpl(MethodImplOptions.NoInlining)] static void Use(object value) { if (value == null) Interlocked.Increment(ref s_sum); }

        // Each calls nothing, so that a thread that is stopped inside is diverted where it returns: what it returns is alive in registers only.
        [MethodImpl(MethodImplOptions.NoInlining)] static long Work(long number) { for (int bit = 0; bit < 3; bit++) number = number * 31 + bit; return number; }
        [MethodImpl(MethodImplOptions.NoInlining)] static object ReturnsObject(object[] from, int index) { return from[index]; }
        [MethodImpl(MethodImplOptions.NoInlining)] static Two ReturnsTwo(object first, string second) { Two two; two.First = first; two.Second = second; return two; }
        [MethodImpl(MethodImplOptions.NoInlining)] static Half ReturnsHalf(long number, object held) { Half half; half.Number = number; half.Held = held; return half; }
        [MethodImpl(MethodImplOptions.NoInlining)] static ref int ReturnsReference(int[] numbers, int index) { return ref numbers[index]; }
        [MethodImpl(MethodImplOptions.NoInlining)] static long ReturnsNumber(long number, object unused) { return number * 3; }

        static void Objects(object[] all) { for (int number = 0; ; number = (number + 1) & 7) if (ReturnsObject(all, number) == null) s_sum++; }
        static void Twos(object first, string second) { for (; ; ) { var two = ReturnsTwo(first, second); if (two.First == null || two.Second == null) s_sum++; } }
        static void Halves(object held) { for (long number = 0; ; number++) if (ReturnsHalf(number, held).Held == null) s_sum++; }
        static void References(int[] numbers) { for (int number = 0; ; number = (number + 1) & 7) ReturnsReference(numbers, number)++; }
        static void Numbers(object unused) { for (long number = 0; ; number++) s_sum += ReturnsNumber(number, unused); }
        static void Loop(object kept) { long sum = 0; for (int number = 0; ; number++) { sum += s_numbers[number & 63]; if (sum == -1) Use(kept); } }
        static void Calls(object kept) { for (; ; ) { if (getppid() == -1) Use(kept); } }
        static void Callbacks(object kept)
        {
            Comparer comparer = (left, right) => *(int*)left - *(int*)right + (kept == null ? 1 : 0);
            int* items = stackalloc int[512];
            for (int round = 1; ; round++)
            {
                for (int index = 0; index < 512; index++) items[index] = index * 7919 * round & 1023;
                qsort(items, (UIntPtr)512, (UIntPtr)4, comparer);
            }
        }

        static object[] NewObjects(int number) { var all = new object[8]; for (int index = 0; index < 8; index++) all[index] = new int[number]; return all; }
        static string Text(int number) { return new string('x', number); }

        // Of all calls that wait, one that a signal does not end.
        static void Hold() { int* ends = stackalloc int[2]; byte one; pipe(ends); read(ends[0], &one, (UIntPtr)1); }

        static void Start(string name, ThreadStart body)
        {
            new Thread(() => { Interlocked.Increment(ref s_working); body(); }) { IsBackground = true, Name = name }.Start();
        }

        static void Main(string[] arguments)
        {
            int copies = int.Parse(arguments[0]), threads = 0;
            for (int copy = 1; copy <= copies; copy++)
            {
                int number = copy;
                Start("objects-" + number, () => Objects(NewObjects(100 + number)));
                Start("twos-" + number, () => Twos(new int[200 + number], Text(300 + number)));
                Start("halves-" + number, () => Halves(new int[400 + number]));
                Start("references-" + number, () => References(new int[500 + number]));
                Start("numbers-" + number, () => Numbers(new int[600 + number]));
                Start("loop-" + number, () => Loop(new int[700 + number]));
                Start("calls-" + number, () => Calls(new int[800 + number]));
                Start("callbacks-" + number, () => Callbacks(new int[900 + number]));
                threads += 8;
            }
            while (Volatile.Read(ref s_working) < threads) Thread.Sleep(10);
            Thread.Sleep(500);
            Start("holder", Hold);
            while (Volatile.Read(ref s_working) < threads + 1) Thread.Sleep(10);
            Thread.Sleep(200);
            Console.WriteLine("FACTS {\"threads\": " + threads + "}");
            Console.Out.Flush();
            system("true"); // the stub of it is made now
            Start("collector", () => { Thread.Sleep(500); GC.Collect(); });
            system("sleep 2.5; echo READY"); // nothing managed could say so then, and this thread is held up where it returns
        }
    }
}
