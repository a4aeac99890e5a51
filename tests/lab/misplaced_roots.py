"""Roots of arm64 that the oracle's library tells of wrong places, each predicted exactly.

Behind a HelperMethodFrame whose registers the runtime has stored, HelperMethodFrame::UpdateRegDisplay (src/coreclr/vm/arm64/stubs.cpp, up
to v9.0) sets pCurrentContextPointers only outside of the data access library (`#if !defined(DACCESS_COMPILE)`). Where nothing was walked
before, they still point to the thread's own registers, those of native code, and GcInfoDecoder takes the frame register and the
callee-saved ones from there. Unwinding a managed frame sets them anew (DacUnwindStackFrame), so that only the first managed frame is
concerned.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame
from heaphound.runtime.threads import Thread
from heaphound.session import Session
from tests.lab.helper_states import HELPER, has_stored_state
from tests.lab.stack_agreement import StackDifference


@dataclass(frozen=True)
class Misplaced:
    """The frame of a thread that the oracle reads by another's registers."""

    os_id: int
    frame: ManagedFrame
    registers: dict[str, int]
    """The thread's own, where the oracle takes the frame's from."""

    @property
    def shift_bytes(self) -> int:
        """From where the oracle takes a slot that counts from the frame register to where it lies."""
        return self.frame.context.fp - self.registers["fp"]


def misplaced_frames(session: Session) -> list[Misplaced]:
    """One of each thread that begins with such a HelperMethodFrame."""
    if session.core.machine != "arm64":
        return []
    registers = {thread.os_id: dict(thread.registers) for thread in session.core.threads}
    found = []
    for thread in session.threads:
        frame = _first_frame(session, thread)
        if frame is not None and thread.os_id in registers:
            found.append(Misplaced(thread.os_id, frame, registers[thread.os_id]))
    return found


def _first_frame(session: Session, thread: Thread) -> ManagedFrame | None:
    helper = False
    for frame in session.stacks.walk(thread):
        if isinstance(frame, ManagedFrame):
            return frame if helper else None
        if not isinstance(frame, ExplicitFrame):
            return None
        if frame.resume is not None:
            if not (frame.frame_type.startswith(HELPER) and has_stored_state(session, frame)):
                return None
            helper = True
    return None


def explained_by(session: Session, frames: Iterable[Misplaced], differences: list[StackDifference]) -> set[StackDifference]:
    """Those differences of roots that come of it: each slot of one side lies where the other has it by the other's registers, or nothing
    lies there that is an object. (The oracle tells some of what is none, and leaves out some.)"""
    by_place = {(misplaced.os_id, hex(misplaced.frame.sp)): misplaced for misplaced in frames}
    known = {(one.os_id, one.sp, one.side, one.slot) for one in differences}
    counted = {  # slots that count from the frame register
        (root.os_id, hex(root.frame.sp), hex(root.reference.address or 0))
        for root in session.stack_roots.exact
        if root.frame is not None and root.reference.register == "fp" and root.reference.offset is not None
    }
    found = set()
    for one in differences:
        misplaced = by_place.get((one.os_id, one.sp))
        if misplaced is None:
            continue
        other = "oracle's" if one.side == "ours" else "ours"
        if not one.slot.startswith("0x"):
            mine, theirs = misplaced.frame.context.values.get(one.slot), misplaced.registers.get(one.slot)
            other_value = theirs if one.side == "ours" else mine
            if mine != theirs and ((one.os_id, one.sp, other, one.slot) in known or not _is_in_object(session, other_value)):
                found.add(one)
            continue
        if one.side == "ours" and (one.os_id, one.sp, one.slot) not in counted:
            continue
        elsewhere = int(one.slot, 16) + (misplaced.shift_bytes if other == "ours" else -misplaced.shift_bytes)
        value = session.runtime.memory.optional(session.runtime.memory.pointer, elsewhere)
        if not _is_in_object(session, value) or (one.os_id, one.sp, other, hex(elsewhere)) in known:
            found.add(one)
    return found


def _is_in_object(session: Session, value: int | None) -> bool:
    return bool(value) and session.table.index_containing(value or 0) is not None
