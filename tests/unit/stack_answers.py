"""Answers about threads, for views and commands: every form a row can take."""

from dataclasses import replace

from heaphound.address import Address
from heaphound.results.answer import Answer, Coverage
from heaphound.results.exceptions import ExceptionRow, ExceptionsResult, ExceptionTypeRow, ThrownFrameRow
from heaphound.results.locks import DeadlockStep, LockRow, LocksResult
from heaphound.results.object import Absence, ByReferenceValue, FieldRow, Reference, StructValue
from heaphound.results.stack import NativeThreadRow, ParallelRow, StackResult
from heaphound.results.threads import ExceptionRef, FrameReferenceRow, FrameRow, SignalRow, ThreadRow, ThreadsResult, VariableRow, WaitRow
from tests.unit.answers import DUMP

SLEEP = "System.Threading.Thread.Sleep(System.Int32)"
MAIN = "Shop.Orders.Program.Main(System.String[])"
CLOSURE = "Shop.Orders.Program+<>c__DisplayClass1_0"
RW, RW_TYPE = "reader-writer lock", "System.Threading.ReaderWriterLockSlim"
ENTER = "System.Threading.Monitor.Enter(System.Object, System.Boolean&)"
FIRST, SECOND = Address(0x7F6B66009D30), Address(0x7F6B66009D48)
SLEEPING = ThreadRow(
    managed_id=1,
    os_id=4242,
    name=None,
    state="foreground",
    frames=(
        FrameRow("HelperMethodFrame", Address(0x7F57860A3F16), Address(0x7FFCD06F4B38), SLEEP, "System.Private.CoreLib"),
        FrameRow("managed", Address(0x7F5706A88231), Address(0x7FFCD06F4C60), SLEEP, "System.Private.CoreLib", 12),
        FrameRow("funclet", Address(0x7F57076433B4), Address(0x7FFCD06F4C70), MAIN, "Shop.Orders", 1780, "/src/Program.cs", 92),
        FrameRow("managed", Address(0x7F57076433C8), Address(0x7FFCD06F4CA0), None, problem="no MethodDesc"),
        FrameRow("managed", Address(0x7F57076433D8), Address(0x7FFCD06F4CD0), MAIN, "Shop.Orders", unwound=True),
    ),
    address=Address(0x5648078B72A0),
    gc_mode="Preemptive",
    exception=ExceptionRef(Address(0x7F6B66039B58), "System.InvalidOperationException"),
    nested_exceptions=(ExceptionRef(Address(0x7F6B66039588), "System.ArgumentNullException"),),
    waits=WaitRow("sleep", SLEEP),
)
BLOCKED = ThreadRow(
    managed_id=7,
    os_id=4250,
    name="worker",
    state="background, pool worker",
    frames=(FrameRow("managed", Address(0x7F57070AFE60), Address(0x7F165B4CDAF0), ENTER),),
    address=Address(0x564807A8FFF0),
    gc_mode="Preemptive",
    locks=(FIRST,),
    waits=WaitRow("monitor enter", ENTER, SECOND, "System.Object", 8),
    frames_left_out=3,
    stack_end="8 bytes at 0x7f165b4ce000 are not in the dump",
)
OVERFLOWN = ThreadRow(
    managed_id=9,
    os_id=4252,
    name=None,
    state="foreground",
    frames=(
        *(FrameRow("managed", Address(0x7F5707000010 + index % 2), Address(0x7F165A000000 + 32 * index), MAIN) for index in range(21)),
        FrameRow("DebuggerU2MCatchHandlerFrame", Address(0x7F5785C9FBB6), Address(0x7F165A000800), None),
    ),
    address=Address(0x564807A90000),
    gc_mode="Cooperative",
)
RECURSING = ThreadRow(
    managed_id=11,
    os_id=4254,
    name=None,
    state="foreground",
    frames=tuple(FrameRow("managed", Address(0x7F5707000010), Address(0x7F165A000000 + 32 * index), MAIN) for index in range(12)),
    frames_left_out=99_960,
    methods_left_out=(MAIN,),
    outermost_frames=(
        FrameRow("managed", Address(0x7F5707000010), Address(0x7F165AF00000), MAIN),
        FrameRow("native", Address(0x7F57860A3F16), Address(0x7F165AF00100), None, "libcoreclr.so", offset=0x49FBB6, exact=False),
    ),
)
MIXED = ThreadRow(
    managed_id=12,
    os_id=4255,
    name=None,
    state="foreground",
    frames=(
        FrameRow("native", Address(0x7F57860A3F16), Address(0x7F165B4CD000), None, "libc.so.6", symbol="poll", offset=0x4F),
        FrameRow(
            "native", Address(0x7F57860A4000), Address(0x7F165B4CD010), None, problem="the native frames cannot be followed further: x"
        ),
        FrameRow("managed", Address(0x7F5707000010), Address(0x7F165B4CD100), MAIN),
    ),
    waits=WaitRow("events (poll)", MAIN, system_call="poll"),
)
COLLECTOR = NativeThreadRow(
    4260,
    (FrameRow("native", Address(0x7F57860A3F16), Address(0x7F165B4CE000), None, "libc.so.6", offset=0x85F16),),
    WaitRow("native lock or event", None, system_call="futex"),
    stack_end="8 bytes at 0x7f165b4cf000 are not in the dump",
)
DEAD = ThreadRow(managed_id=3, os_id=0, name=None, state="dead, background", address=Address(0x564807A90000))
NOTED = Coverage(notes=("locks are not known: the sync table is not in the dump",))

THREADS = Answer(
    DUMP, NOTED, ThreadsResult((SLEEPING, BLOCKED, OVERFLOWN, DEAD), SignalRow(11, "SIGSEGV", 4711, 1, Address(0x1000), SLEEPING.exception))
)
THREADS_RETAINED = Answer(
    DUMP, NOTED, ThreadsResult((replace(SLEEPING, retained_bytes=5_001_832), replace(BLOCKED, retained_bytes=0), OVERFLOWN))
)
STACK = Answer(DUMP, Coverage(), StackResult((SLEEPING, BLOCKED, OVERFLOWN), without_frames=(3,)))
STACK_NATIVE = Answer(DUMP, Coverage(), StackResult((MIXED, RECURSING), native_threads=(COLLECTOR,)))
PARALLEL = Answer(
    DUMP,
    Coverage(),
    StackResult(
        (),
        (
            ParallelRow(0, (4, 5, 6), ("Shop.Orders.Worker.Run()",), ends=(6,)),
            ParallelRow(1, (4, 5), (ENTER,), ends=(4, 5)),
            ParallelRow(0, (1,), (MAIN, SLEEP), ends=(1,)),
            ParallelRow(0, (9,), ("Main()", *("Recurse()",) * 20), (), 99_000, ("Recurse()",) * 20, ("Recurse()",), (4260,), (4260,)),
            ParallelRow(0, (), ("libc.so.6!poll",), native_threads=(4261, 4262), native_ends=(4261, 4262)),
        ),
        without_frames=(2, 3),
    ),
)
KITTEN = "Zoo.Kitten"
VARIABLES = Answer(
    DUMP,
    Coverage(),
    StackResult(
        (
            replace(
                SLEEPING,
                frames=(
                    FrameRow(
                        "PrestubMethodFrame",
                        Address(0x7F57860A3F16),
                        Address(0x7FFCD06F4B38),
                        MAIN,
                        "Shop.Orders",
                        references=(FrameReferenceRow(Address(0x7FFCD06F4B60), None, None, FIRST, "System.String[]"),),
                    ),
                    FrameRow(
                        "managed",
                        Address(0x7F57076433B4),
                        Address(0x7FFCD06F4C70),
                        MAIN,
                        "Shop.Orders",
                        1780,
                        "/src/Program.cs",
                        92,
                        arguments=(
                            VariableRow(0, "this", KITTEN, Reference(FIRST, KITTEN), "rbx", Address(0x7FFCD06F4C50)),
                            VariableRow(1, "name", "System.String", Reference(SECOND, "System.String", None, 12), "r12"),
                            VariableRow(2, "count", "System.Int32", Absence("not available", "optimised away")),
                            VariableRow(
                                4,
                                "work",
                                CLOSURE,
                                Reference(SECOND, CLOSURE),
                                captured=(FieldRow("orders", CLOSURE, "System.Int32", 0, 3),),
                            ),
                            VariableRow(
                                3,
                                "total",
                                "System.Int64&",
                                ByReferenceValue(Address(0x7FFCD06F4CF0), 42),
                                "[rbp-0x18]",
                                Address(0x7FFCD06F4C88),
                            ),
                        ),
                        locals=(
                            VariableRow(
                                0,
                                "point",
                                "Zoo.Point",
                                StructValue("Zoo.Point", (FieldRow("X", "Zoo.Point", "System.Int32", 0, 1),)),
                                "[rbp-0x20]",
                                Address(0x7FFCD06F4C80),
                                True,
                            ),
                            VariableRow(1, "i", "System.Int32", 5, "[rbp-0x24]", Address(0x7FFCD06F4C7C), False),
                            VariableRow(2, None, "System.Boolean", Absence("not available", "not live at this point of the code")),
                            VariableRow(3, None, "System.Boolean", True, "[rbp-0x28]", Address(0x7FFCD06F4C78)),
                        ),
                        references=(
                            FrameReferenceRow(Address(0x7FFCD06F4C40), "rbp", -96, SECOND, "System.Object", interior=True),
                            FrameReferenceRow(None, "rax", None, FIRST, "System.Object", pinned=True),
                            FrameReferenceRow(None, "rdi", None, FIRST, "System.String", text="shipped", length=7),
                        ),
                    ),
                    FrameRow("managed", Address(0x7F57076433C8), Address(0x7FFCD06F4CA0), None, problem="no MethodDesc"),
                ),
            ),
        )
    ),
)
LOCKS = Answer(
    DUMP,
    Coverage(),
    LocksResult(
        (
            LockRow("monitor", FIRST, "System.Object", 7, 1, 1, (8,), (), 2),
            LockRow("monitor", SECOND, "System.Object", 8, 1, 1, (7,), (11, 12), 3),
            LockRow("thin", Address(0x7F6B668005E8), "System.Object", 1, 2),
            LockRow("lock", Address(0x7F6B66800700), "System.Threading.Lock", None, 0, 1),
            LockRow("lock", Address(0x7F6B66800728), "System.Threading.Lock", None, 1, 1, (14,), owner_ended=True, owner_os_id=4711),
            LockRow("monitor", Address(0x7F6B66009D60), "System.Object", 3, 1, 2, (15, 16), owner_ended=True),
            LockRow("monitor", Address(0x7F6B66009D78), "System.Object", None, waiting_threads=(17,), inside="semaphore"),
            LockRow(RW, Address(0x7F6B66800750), RW_TYPE, 8, entering=1, entering_threads=(8,), readers=(7, 18)),
            LockRow("semaphore", Address(0x7F6B66800780), "System.Threading.SemaphoreSlim", None, 0, 1, (17,)),
            LockRow("type initializer", None, "Shop.Settings", 7, 0, 1, (19,)),
            LockRow("native lock", Address(0x7F6B00001000), None, None, 0, 1, (20,), owner_os_id=4260),
        ),
        (
            (DeadlockStep(7, SECOND, "System.Object", 8), DeadlockStep(8, FIRST, "System.Object", 7)),
            (
                DeadlockStep(21, None, "Shop.Prices", 22, "type initializer"),
                DeadlockStep(22, Address(0x7F6B66800790), "System.Threading.Thread", 23, "thread join"),
                DeadlockStep(23, Address(0x7F6B668007A0), "System.Threading.Tasks.Task", 21, "task"),
            ),
        ),
        5,
        ((4, 9), ()),
    ),
)
EXCEPTIONS = Answer(
    DUMP,
    Coverage(),
    ExceptionsResult(
        (
            ExceptionRow(
                Address(0x7F6B66039B58),
                "System.InvalidOperationException",
                0x80131509,
                None,
                4,
                Address(0x7F6B66039588),
                (1,),
                (
                    ThrownFrameRow(Address(0x7FAB7B81B0E8), Address(0x7FFF291C1560), MAIN, "Shop.Orders", 29, "/src/Program.cs", 40),
                    ThrownFrameRow(Address(0x7FAB7B81B0F5), Address(0x7FFF291C15A0), None),
                ),
                40,
            ),
            ExceptionRow(Address(0x7F6B66039588), "System.ArgumentNullException", 0x80004003, "Value cannot be null.", 21, None, ()),
            ExceptionRow(Address(0x7F6B66000118), "System.StackOverflowException", 0x800703E9, None, None, None, (), problem="a loop"),
            ExceptionRow(Address(0x7F6B66000088), "System.OutOfMemoryException", 0x8007000E, None, None, None, ()),
        ),
        (ExceptionTypeRow("System.InvalidOperationException", 1), ExceptionTypeRow("System.ArgumentNullException", 2)),
        1,
    ),
)
