"""Managed threads and their frames."""

from dataclasses import dataclass

from heaphound.address import Address
from heaphound.results.object import FieldRow, Value


@dataclass(frozen=True, slots=True)
class VariableRow:
    """An argument or local of a frame."""

    number: int
    """Counts arguments (``this`` first) and locals each from 0."""
    name: str | None
    """None where nothing names it: a local without a PDB, or one that the compiler made."""
    type: str
    value: Value
    """An Absence of kind ``not available`` where optimised code keeps no value of it, or there is no debug information."""
    place: str | None = None
    """Where the value is, as debuggers write it: ``rbx``, ``[rbp-0x18]``; None where it is nowhere."""
    address: Address | None = None
    """Of the value; None while it is in a register of the CPU."""
    in_scope: bool | None = None
    """Of a local: whether its name holds at the frame's IL offset. None without a PDB, and for arguments."""
    captured: tuple[FieldRow, ...] = ()
    """Of the object that C# makes for a lambda, an iterator or an async method: its fields, which are the variables that these share."""


@dataclass(frozen=True, slots=True)
class FrameReferenceRow:
    """A reference that a frame holds and none of its variables: a temporary of the compiler, or an argument that a Frame protects."""

    address: Address | None
    """The slot; for a register where an inner frame saved it, None while it is in the CPU."""
    register: str | None
    """The register that holds it, or that `offset` counts from; ``caller sp`` is the stack pointer behind the frame."""
    offset: int | None
    object: Address
    """Start of the object."""
    type: str
    interior: bool = False
    pinned: bool = False
    text: str | None = None
    """As of a Reference: of a string only where texts were asked for."""
    length: int | None = None
    """As of a Reference: characters of a string, elements of an array."""


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame, innermost first."""

    kind: str
    """``managed``, ``funclet`` (a catch, finally or filter body), ``native``, or the class of the runtime's own Frame:
    ``InlinedCallFrame`` ..."""
    ip: Address
    """Where the frame goes on; for a Frame of the runtime where the thread was in native code."""
    sp: Address
    """Stack pointer; for a Frame of the runtime its address."""
    method: str | None
    """For a Frame of the runtime the method that it stands for, where it says one; None for native frames."""
    module: str | None = None
    """The assembly; of a native frame the name of its file, None for code that lies in no file."""
    il_offset: int | None = None
    file: str | None = None
    line: int | None = None
    problem: str | None = None
    """Why a part of the frame could not be read; of a native frame why the native frames end with it."""
    symbol: str | None = None
    """The native function, where a symbol table names it."""
    offset: int | None = None
    """Of a native frame: bytes from the beginning of `symbol`, or of the module where there is none."""
    exact: bool = True
    """False for a native frame that was found by a guess, as the one below has no call frame information."""
    unwound: bool = False
    """Whether an exception has unwound it whose handler has not returned: the frame is on the stack still, nothing in it runs again, and
    it keeps nothing alive."""
    arguments: tuple[VariableRow, ...] | None = None
    """With `this` first. None where they were not asked for, and for Frames of the runtime; so are `locals` and `references`."""
    locals: tuple[VariableRow, ...] | None = None
    references: tuple[FrameReferenceRow, ...] | None = None
    """What else the frame holds; None too where its references cannot be told."""

    @property
    def what(self) -> str:
        """The method, or ``libc.so.6!poll``, ``libcoreclr.so+0x60df21``: the same text for frames that are alike."""
        if self.kind != "native":
            return self.method or f"{self.kind} at {self.ip}"
        if self.module is None:
            return "native code in no file"
        return f"{self.module}!{self.symbol}" if self.symbol is not None else f"{self.module}+{self.offset or 0:#x}"


@dataclass(frozen=True, slots=True)
class ExceptionRef:
    """An exception object."""

    address: Address
    type: str | None


@dataclass(frozen=True, slots=True)
class WaitRow:
    """What a thread waits for, by the methods on its stack, else by the system call that it is in."""

    kind: str
    """``monitor enter``, ``monitor wait``, ``task``, ``sleep``, ``wait handle``, ``type initializer``, ``native lock``, ``socket receive``,
    ``idle pool worker`` ..."""
    method: str | None
    """The method on the stack that tells, or called what waits; None for a thread in native code alone."""
    object: Address | None = None
    """The lock, event, task, thread or wait handle, where the stack tells which; of a ``native lock`` the mutex."""
    type: str | None = None
    """Of the object; of a ``type initializer`` the type that is initialized. A SafeWaitHandle stands for a wait handle that
    is not found."""
    owner: int | None = None
    """Managed id of the thread that holds the lock, runs the task or initializer, or has to end. None too for what records nobody:
    semaphores, events, countdowns, barriers and wait handles."""
    owner_ended: bool = False
    """Whether that thread has ended, so that it never lets go."""
    readers: tuple[int, ...] = ()
    """Managed ids of threads that hold a reader-writer lock for reading, without the waiting one."""
    owner_os_id: int | None = None
    """The kernel's id of the thread that holds a ``native lock``, which the runtime may not know; of a Lock that of a thread that has
    ended."""
    system_call: str | None = None
    """``futex``, ``epoll_wait``, ``recvmsg`` ...: the system call that the thread is in; None where it is in none that waits."""

    @property
    def verb(self) -> str:
        """What the owner does with it: ``held by`` ..."""
        if self.kind == "thread join":
            return "which is"
        if self.kind in ("task", "type initializer"):
            return "run by"
        return "held by" if self.owner is not None or not self.readers else "held for reading by"


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One managed thread."""

    managed_id: int
    os_id: int
    """0 for a thread that has ended or not started."""
    name: str | None
    state: str
    frames: tuple[FrameRow, ...] = ()
    address: Address | None = None
    """The runtime's Thread."""
    gc_mode: str | None = None
    """``Cooperative`` or ``Preemptive``."""
    exception: ExceptionRef | None = None
    """The exception that it threw last and has not forgotten."""
    nested_exceptions: tuple[ExceptionRef, ...] = ()
    """Those that it is handling, innermost first."""
    locks: tuple[Address, ...] = ()
    """Objects whose monitor it holds, as far as sync blocks tell (an uncontended lock may be in the object's header only)."""
    waits: WaitRow | None = None
    """None for a thread that runs, or waits in a way that is not known."""
    retained_bytes: int | None = None
    """What only its stack keeps alive; None where that was not asked for, or its stack holds nothing for certain."""
    frames_left_out: int = 0
    """Where the limit cut the stack: frames between `frames` and `outermost_frames`."""
    outermost_frames: tuple[FrameRow, ...] = ()
    """Where the limit cut the stack: the last frames, at most 20, where the thread began."""
    methods_left_out: tuple[str, ...] = ()
    """Methods of the frames left out, where they are at most 16: a recursion. Empty otherwise."""
    stack_end: str | None = None
    """Why the frames end before the last one; None where all were walked."""
    state_bits: int = 0
    """The runtime's own bits of its state (enum ThreadState of src/coreclr/vm/threads.h), of which `state` names those that matter."""
    allocation_pointer: Address | None = None
    """Where it allocates next in the part of the heap that the collector gave it; None where it has none."""
    allocation_limit: Address | None = None
    """Where that part ends."""


@dataclass(frozen=True, slots=True)
class SignalRow:
    """The signal that ended the process, and the thread that got it."""

    number: int
    name: str
    """As in signal(7): ``SIGSEGV``, ``SIGABRT`` ..."""
    os_id: int
    managed_id: int | None
    """None for a thread that the runtime does not know."""
    address: Address | None = None
    """The address that could not be used, of signals that name one."""
    exception: ExceptionRef | None = None
    """What the thread threw last and has not forgotten: of an unhandled exception that one."""
    fail_fast: bool = False
    """Whether the thread called Environment.FailFast; the frame of that has the message."""


@dataclass(frozen=True, slots=True)
class ThreadsResult:
    """All managed threads."""

    threads: tuple[ThreadRow, ...]
    signal: SignalRow | None = None
    """None where the process was alive when it was dumped, or the core does not tell."""
