"""What the walk over a managed stack yields: frames of managed code and explicit Frames of the runtime, innermost first."""

from dataclasses import dataclass
from typing import Literal

from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.registers import RegisterContext


@dataclass(frozen=True, slots=True)
class FrameCode:
    """The managed code that a frame runs. All addresses absolute.

    `start` is the first instruction of the method's main body: native offsets of GC and debug information count from it. `fragment_start`
    to `fragment_end` is the main body or the one funclet that holds the instruction pointer, or the piece of it that has unwind data.
    """

    kind: Literal["jit", "ready-to-run"]
    start: int
    fragment_start: int
    fragment_end: int
    image_base: int
    """What the addresses in unwind information count from: base of the code range (JIT) or of the image (ready-to-run)."""
    unwind_info: int
    """Unwind data of the fragment: `image_base` plus what its RUNTIME_FUNCTION has, which on arm64 may be the data itself, packed."""
    gc_info: int
    """GcInfo of the whole method: funclets share it."""
    debug_info: int | None
    """JIT: the compressed debug information, None where there is none. Ready-to-run: None, the image's tables have it."""
    method: Method | None
    problem: str | None = None
    """Why `method` is None, or why it is only the likely one."""
    first_fragment_start: int | None = None
    """Where the main body or the funclet begins of which this fragment is a further one; None for the first (arm64: after each 1 MB)."""

    @property
    def is_funclet(self) -> bool:
        """Whether the code is a catch, finally, fault or filter body apart from the method's main body."""
        return self.funclet_start != self.start

    @property
    def funclet_start(self) -> int:
        """First instruction of the main body or the funclet that holds the instruction pointer."""
        return self.fragment_start if self.first_fragment_start is None else self.first_fragment_start

    @property
    def is_ready_to_run(self) -> bool:
        """Whether it was compiled ahead of time."""
        return self.kind == "ready-to-run"


@dataclass(slots=True)  # not frozen, and never changed: a stack overflow has 100,000, and setting a frozen one's fields is half of each
class ManagedFrame:
    """One frame of managed code. `context` are its registers, where `context.ip` lies in `code`."""

    code: FrameCode
    context: RegisterContext
    caller: RegisterContext | None
    """The registers after this frame was unwound (`caller.sp` is the CallerSP of GC information); None where it cannot be unwound."""
    active: bool
    """Whether the instruction at `context.ip` is the next one to run (innermost frame, or one interrupted by a fault, signal or hijack):
    scratch registers are then live; else `context.ip` is a return address."""
    interrupted: bool = False
    """Whether execution was torn out of it by an exception (the runtime's ExecutionAborted)."""
    parent_of_funclet: bool = False
    """Whether a funclet of the same invocation lies further in and reports this frame's references already."""
    filter_funclet: bool = False
    """Whether it is an exception filter: it runs while the frames behind it are still alive."""
    dead: bool = False
    """Whether it holds no references: it lies between a running handler and the handler's method, or is `unwound`."""
    unwound: bool = False
    """Whether an exception in flight has unwound it: it lies on the stack still, and nothing in it runs again."""
    exact_method: Method | None = None
    """The method with the generic arguments of this very call, where the code is shared between instantiations and the frame tells."""

    @property
    def method(self) -> Method | None:
        """The method: with its exact generic arguments where the frame tells them, else as the code is shared (`System.__Canon`)."""
        return self.exact_method or self.code.method

    @property
    def ip(self) -> int:
        """Instruction pointer."""
        return self.context.ip

    @property
    def sp(self) -> int:
        """Stack pointer."""
        return self.context.sp

    @property
    def native_offset(self) -> int:
        """Offset of the instruction pointer from the method's start, in bytes."""
        return self.context.ip - self.code.start

    @property
    def code_offset(self) -> int:
        """Offset of the instruction that the frame is at: for a return address inside of the call, as behind it may be other code."""
        return self.native_offset - (0 if self.active else 1)


@dataclass(frozen=True, slots=True)
class ExplicitFrame:
    """One Frame object of the runtime (src/coreclr/vm/frames.h), which lies on the stack itself.

    `frame_type` is its class there, such as "InlinedCallFrame". `method` is the method that it calls or stands for, None for kinds with
    none. `resume` are the registers of the managed caller that it knows; None where the Frame says nothing about them.
    """

    frame_address: int
    frame_type: str
    ip: int
    """Where the thread was when the walk met the Frame: in native code that managed code called, as ClrMD prints it."""
    resume: RegisterContext | None
    method: Method | None = None
    method_desc: int | None = None
    transition_block: int | None = None
    """Address of the TransitionBlock (saved registers, then argument registers and stack arguments), None for kinds without one."""
    problem: str | None = None
    """Why its method, or the registers that it should know, could not be read."""
    dead: bool = False
    """As of a managed frame."""
    unwound: bool = False
    """As of a managed frame."""
    threw: bool = False
    """Whether the managed code behind it was left by an exception (FRAME_ATTR_EXCEPTION of src/coreclr/vm/frames.h): it does not go on
    where it called, so that nothing which only lived there is alive."""

    @property
    def sp(self) -> int:
        """Address of the Frame itself, which orders it among the others."""
        return self.frame_address


@dataclass(frozen=True, slots=True)
class StackEnd:
    """Why a walk ended before the last frame; the last thing that it yields, or not yielded at all when the whole stack was seen."""

    sp: int
    reason: str


Frame = ManagedFrame | ExplicitFrame
