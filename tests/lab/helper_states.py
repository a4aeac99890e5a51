"""What the oracle cannot know behind a runtime helper: registers of managed code whose place its library does not look for.

Before 10.0 a HelperMethodFrame holds the registers of the managed code behind it only once the runtime itself has walked that stack
(`_pRetAddr` of its MachState is then set). Until then the data access library unwinds the native code between, and throws away where that
stored each register: "we don't have context pointers in this case, just assign them to NULL" (LazyMachState::unwindLazyState,
src/coreclr/vm/amd64/gmsamd64.cpp). The GC information decoder reports a register without such a pointer only while a collection promotes
(GcInfoDecoder::ReportRegisterToGC, src/coreclr/vm/gcinfodecoder.cpp), which the library's walk never says of itself: so it leaves out each
callee-saved register, up to the managed frame that saves it. A collection does not: unwinding in the process finds the place.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame
from heaphound.runtime.stacks.registers import CALLEE_SAVED, RegisterContext
from heaphound.runtime.threads import Thread
from heaphound.session import Session

HELPER = "HelperMethodFrame"


@dataclass(frozen=True)
class Unwound:
    """A HelperMethodFrame that the runtime has unwound itself: what it found, and what unwinding from the captured state finds."""

    stored: RegisterContext
    again: RegisterContext | None

    @property
    def agrees(self) -> bool:
        """The same instruction and stack pointer, and each register from the same slot or, where the runtime gives none, of the same
        value. A register that nobody pushed lies in the Frame's own copy: there the runtime's slot is that copy's."""
        if self.again is None:
            return False
        again, stored = self.again, self.stored
        same = all(again.values.get(name) == value for name, value in stored.values.items() if name in CALLEE_SAVED[stored.machine])
        return (again.ip, again.sp) == (stored.ip, stored.sp) and same


def has_stored_state(session: Session, frame: ExplicitFrame) -> bool:
    """Whether the runtime has walked past this HelperMethodFrame, and its state is complete."""
    layout, memory = session.runtime.layout, session.runtime.memory
    state = frame.frame_address + layout.offset(HELPER, "MachineState")
    if layout.has("MachineState", "IsValid"):
        return memory.u32(state + layout.offset("MachineState", "IsValid")) != 0
    return bool(memory.pointer(state + layout.offset("MachineState", "ReturnAddressPtr")))


def untold_registers(session: Session, thread: Thread) -> Iterator[tuple[int, str]]:
    """Stack pointer of a managed frame and a register of it that the oracle leaves out."""
    untold: set[str] = set()
    for frame in session.stacks.walk(thread):
        if isinstance(frame, ExplicitFrame):
            if frame.resume is not None:
                lazy = frame.frame_type.startswith(HELPER) and not has_stored_state(session, frame)
                untold = set(CALLEE_SAVED[session.core.machine]) if lazy else set()
        elif isinstance(frame, ManagedFrame):
            yield from ((frame.sp, register) for register in untold)
            if frame.caller is not None:
                before, after = frame.context.saved_at, frame.caller.saved_at
                untold -= {register for register in after if after[register] != before.get(register)}


def unwound_again(session: Session, thread: Thread) -> Iterator[Unwound]:
    """Each HelperMethodFrame of a thread that the runtime has unwound, unwound once more by the image's call frame information.

    None on arm64: there the runtime stores what it found over what was captured (arm64/gmscpu.h has one array for both).
    """
    helpers = session.stacks.frames._helpers
    layout = session.runtime.layout
    if layout.has("MachineState", "Capture") and layout.offset("MachineState", "Capture") == layout.offset("MachineState", "Unwound"):
        return
    for frame in session.stacks.walk(thread):
        if not (
            isinstance(frame, ExplicitFrame) and frame.frame_type.startswith(HELPER) and frame.resume and has_stored_state(session, frame)
        ):
            continue
        try:
            again = helpers._unwind(frame.frame_address + layout.offset(HELPER, "MachineState"))
        except (Unreadable, Malformed, LimitExceeded):
            again = None
        yield Unwound(frame.resume, again)
