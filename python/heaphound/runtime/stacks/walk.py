"""The walk over one thread's stack: managed frames by unwind information, from one managed run to the next by explicit Frames.

The algorithm is that of the runtime (StackFrameIterator of src/coreclr/vm/stackwalk.cpp; docs/design/datacontracts/StackWalk.md): where the
instruction pointer is in native code, the next Frame says how to go on; a Frame that lies inside a managed frame comes before it.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.core import Core
from heaphound.dump.native_frames import NativeRun
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.gc_info.gc_infos import GcInfos
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.debug_infos import DebugInfos
from heaphound.runtime.stacks.diverted_return import DivertedReturn
from heaphound.runtime.stacks.exact_methods import ExactMethods
from heaphound.runtime.stacks.exception_clauses import ExceptionClauses
from heaphound.runtime.stacks.exceptions_in_flight import read_exceptions
from heaphound.runtime.stacks.explicit_frames import ExplicitFrames, returns_to_caller
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.frame_code import FrameCodes
from heaphound.runtime.stacks.frame_rules import FrameRules
from heaphound.runtime.stacks.frame_types import CONTEXT_POINTER
from heaphound.runtime.stacks.handlers import mark_handlers
from heaphound.runtime.stacks.helper_frames import HelperFrames
from heaphound.runtime.stacks.interrupted import InterruptedCode
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.threads import NO_FRAME, Thread, ThreadState


class StackWalker:
    """Walks the stacks of one dump's threads; what it learns of code is kept for the next thread."""

    def __init__(self, runtime: Runtime, locator: CodeLocator) -> None:
        self.runtime = runtime
        self.locator = locator
        self.tables = locator.tables
        self.codes = FrameCodes(runtime, locator)
        self.native = NativeUnwinder(runtime.core)
        self.frames = ExplicitFrames(runtime, locator, HelperFrames(runtime, self.codes, locator.methods, self.native))
        self.gc_infos = GcInfos(locator.tables, runtime.layout, runtime.core.machine)
        self.debug_infos = DebugInfos(runtime, locator)
        self._exact = ExactMethods(runtime, self.codes, locator.methods, self.gc_infos, self.debug_infos)
        self.rules = FrameRules(locator.tables, runtime.core.machine)
        self._clauses = ExceptionClauses(locator.tables, runtime.layout, locator)
        self._interrupted = InterruptedCode(runtime.core, self.native, self.codes)
        self._registers = {thread.os_id: thread.registers for thread in runtime.core.threads}
        counted = Counter(thread.os_id for thread in runtime.core.threads)
        self._told_twice = {os_id for os_id, count in counted.items() if count > 1}

    def walk(self, thread: Thread) -> Iterator[Frame | StackEnd]:
        """The frames of a thread, innermost first; a StackEnd last where the rest cannot be walked. Raises nothing of the dump's.

        A thread that has no registers in the dump, or is not alive, gives no frame, and the former a StackEnd.
        """
        if thread.os_id is None:
            return
        registers = self._registers.get(thread.os_id)
        if registers is None:
            yield StackEnd(0, f"the dump has no registers of thread {thread.os_id}")
            return
        if thread.os_id in self._told_twice:
            yield StackEnd(0, f"the dump has registers of thread {thread.os_id} more than once")
            return
        start, active = RegisterContext(self.runtime.core.machine, registers), True
        run = self.interruption(thread)
        if run is not None and run.arrived is not None:
            start, active = RegisterContext(start.machine, run.arrived), run.active
        diverted = DivertedReturn(self.runtime.memory, thread.address) if thread.state_bits & ThreadState.HIJACKED else None
        exceptions = read_exceptions(self.runtime.memory, self.runtime.layout, self.runtime.core.machine, thread.address)
        for frame in mark_handlers(_Walk(self, start, active, thread.frame, diverted).run(), self._clauses, exceptions):
            yield self._named(frame) if isinstance(frame, ManagedFrame) else frame

    def interruption(self, thread: Thread) -> NativeRun | None:
        """The native frames of a signal's handler that lead to the managed code in which a walk of the thread begins; None where it begins
        where the thread runs."""
        registers = self._registers.get(thread.os_id or 0)
        return None if registers is None else self._interrupted.of(thread, registers)

    def follow(self, context: RegisterContext, active: bool) -> Iterator[ManagedFrame]:
        """The frames of managed code from registers on, up to native code, or to what cannot be undone.

        `active` as of the first of them. Raises nothing of the dump's.
        """
        for _ in range(LIMITS.stack_frames):
            try:
                code = self.codes.find(context.ip)
                if code is None:
                    return
                caller = self.rules.caller(context, code, active)
            except (Unreadable, Malformed, LayoutError):
                return
            yield self._named(ManagedFrame(code, context, caller, active))
            if caller.sp <= context.sp and not active:
                return
            context, active = caller, False

    def _named(self, frame: ManagedFrame) -> ManagedFrame:
        exact = self._exact.of(frame)
        return frame if exact is None else replace(frame, exact_method=exact)


def walk_stack(runtime: Runtime, locator: CodeLocator, thread: Thread, core: Core) -> Iterator[Frame | StackEnd]:  # noqa: ARG001
    """The frames of one thread; for many threads of a dump a `StackWalker` serves them faster."""
    return StackWalker(runtime, locator).walk(thread)


class _Walk:
    """One walk: the registers so far, and the next explicit Frame."""

    def __init__(
        self, walker: StackWalker, context: RegisterContext, active: bool, frame: int | None, diverted: DivertedReturn | None
    ) -> None:
        self._walker = walker
        self._diverted = diverted
        self._context = context
        self._frame = frame or 0
        self._active = active
        self._interrupted = False
        self._managed_sp = -1
        self._met: int | None = None
        self._lower: set[int] = set()

    def run(self) -> Iterator[Frame | StackEnd]:
        """The frames; every error of the dump becomes the StackEnd."""
        find, undo = self._walker.codes.find, self._walker.rules.caller
        for _ in range(LIMITS.stack_frames):
            context = self._context
            try:
                code = find(context.ip)
                if code is None and not self._active:
                    self._check_return(context.ip)
                if code is None and self._frame in NO_FRAME:
                    return
                if code is None:
                    yield self._explicit()
                    continue
                sp = context.sp
                if sp <= self._managed_sp:
                    raise Malformed(f"the stack pointer does not move up from {self._managed_sp:#x}")
                try:
                    caller = undo(context, code, self._active)
                except (Unreadable, Malformed):
                    yield ManagedFrame(code, context, None, self._active, self._interrupted)
                    raise
                if self._diverted is not None and find(caller.ip) is None:
                    caller = self._undiverted(self._diverted, caller)
                caller_sp = caller.sp
                if self._frame < caller_sp:
                    yield from self._inside(caller_sp)
                yield ManagedFrame(code, context, caller, self._active, self._interrupted)
                # Only a leaf of arm64 has its caller's stack pointer: its return address is in a register.
                self._managed_sp = sp - (caller_sp == sp)
                self._context, self._active, self._interrupted = caller, False, False
            except (Unreadable, Malformed, LayoutError) as error:
                yield StackEnd(context.sp, str(error))
                return
        yield StackEnd(self._context.sp, f"more than {LIMITS.stack_frames} frames")

    def _check_return(self, ip: int) -> None:
        """Raise Malformed where managed code returns to what is no code: the stack is broken, and who the callers are nothing tells.

        Stubs are never returned to: they jump. What lies in no image and in no memory of the dump is left to the Frames, if there are any.
        """
        if self._walker.codes.is_in_managed_range(ip):
            raise Malformed(f"managed code returns to {ip:#x}, which lies in a range of managed code and in no method")
        lost = self._frame in NO_FRAME and not self._walker.runtime.memory.readable(ip, 1)
        if lost and self._walker.native.module_at(ip) is None:
            raise Malformed(f"managed code returns to {ip:#x}, where there is neither code in the dump nor an image")

    def _undiverted(self, diverted: DivertedReturn, caller: RegisterContext) -> RegisterContext:
        """Where a managed frame returns to, if a collection has overwritten that."""
        undone = diverted.undone(caller)
        return caller if undone is None or not self._walker.codes.is_managed(undone.ip) else undone

    def _inside(self, caller_sp: int) -> Iterator[Frame]:
        """Frames that lie in the stack of the managed frame, which ends below `caller_sp`: none of them has the way on."""
        while self._frame not in NO_FRAME and self._frame < caller_sp:
            frame = self._walker.frames.read(self._frame, self._context.ip)
            already = frame.frame_address == self._met
            self._advance()
            if not already:
                yield frame

    def _explicit(self) -> ExplicitFrame:
        """The next Frame, met in native code; its registers, if it has any, are those of the managed code behind it."""
        frame = self._walker.frames.read(self._frame, self._context.ip, self._diverted)
        if frame.resume is None and frame.problem is not None and frame.problem.startswith("its registers"):
            raise Malformed(f"{frame.frame_type} at {frame.frame_address:#x}: {frame.problem}")
        if frame.frame_type == "InlinedCallFrame" and frame.resume is not None and not self._walker.codes.is_managed(frame.resume.ip):
            raise Malformed(f"{frame.frame_type} at {frame.frame_address:#x}: it returns to {frame.resume.ip:#x}, which is no managed code")
        self._met = self._frame
        self._advance()
        # A Frame that native code led to tells nothing new: its registers are taken only where they are managed code's (NextRaw of
        # src/coreclr/vm/stackwalk.cpp), and what follows is met where the thread was.
        if frame.resume is not None and self._walker.codes.is_managed(frame.resume.ip):
            self._context = frame.resume
            hijacked = frame.frame_type == "HijackFrame" and returns_to_caller(self._walker.runtime.layout)
            self._active = hijacked or frame.frame_type in CONTEXT_POINTER or frame.frame_type == "FaultingExceptionFrame"
            self._interrupted = frame.threw
        return frame

    def _advance(self) -> None:
        """To the next Frame: further out on the stack than managed code, and mostly further out than the last.

        Native code may make one first in memory that it takes off the stack later on, and another then in its own frame: reflection's
        ProtectValueClassFrame lies below the DebuggerU2MCatchHandlerFrame that it makes after it (RuntimeMethodHandle::InvokeMethod of
        src/coreclr/vm/reflectioninvocation.cpp of v6.0).
        """
        following = self._walker.frames.next(self._frame)
        if following not in NO_FRAME and following <= self._frame:
            if following <= self._managed_sp or following in self._lower:
                raise Malformed(f"the chain of Frames does not move up at {self._frame:#x}: the next is {following:#x}")
            self._lower.add(following)
        self._frame = following
