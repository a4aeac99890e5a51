"""The references that one managed frame holds: its live slots as addresses and registers of this thread."""

from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.gc_info.gc_info import FrameState, GcInfo
from heaphound.runtime.gc_info.slots import Slot
from heaphound.runtime.stacks.frame import ManagedFrame

_MASK = (1 << 64) - 1
CALLER_SP = "caller sp"


@dataclass(frozen=True, slots=True)
class Reference:
    """One slot of a frame with what it holds. `value` points to an object's start, or anywhere if `interior`; never null.

    `address` is None for a live register. `register` is what the slot counts from, `offset` bytes; a reference in a register has it as
    `register` and no offset, and an address too where an inner frame saved it.
    """

    address: int | None
    value: int
    interior: bool
    pinned: bool
    register: str | None
    offset: int | None


def frame_references(memory: Memory, info: GcInfo, frame: ManagedFrame, filter_funclet: bool) -> list[Reference]:
    """The references of a frame. Raises Malformed where GcInfo does not tell them there, Unreadable where the dump lacks a slot."""
    found = []
    for slot in live_slots(info, frame, filter_funclet):
        reference = _register(slot, frame) if slot.register is not None else _stack(memory, slot, info, frame)
        if reference is not None and reference.value:
            found.append(reference)
    return found


def live_slots(info: GcInfo, frame: ManagedFrame, filter_funclet: bool) -> list[Slot]:
    """The slots of a frame that hold references. Raises Malformed where GcInfo does not tell them there, Unreadable."""
    faulted = _faulted(frame)
    state = FrameState(frame.active and not faulted, frame.interrupted, frame.parent_of_funclet, filter_funclet, faulted)
    offset = frame.native_offset
    if offset > info.header.code_length:
        raise Malformed(f"the frame is {offset} bytes into a method of {info.header.code_length}")
    if not info.tells(offset, state):
        raise Malformed(f"the thread was stopped {offset} bytes into its code, where there is no information about references")
    slots = info.live_slots(offset, state)
    if state.active and any(slot.base == "frame register" for slot in slots) and not _is_set_up(info, frame):
        raise Malformed(f"the thread was stopped {offset} bytes into its code, where its frame is not set up yet or gone again")
    return slots


def _is_set_up(info: GcInfo, frame: ManagedFrame) -> bool:
    """Whether the frame register is the method's own: it points into the frame then. A handler has its method's, which lies further out."""
    if frame.code.is_funclet or frame.caller is None or info.header.stack_base_register is None:
        return True
    return frame.sp <= frame.context.value(info.encoding.registers[info.header.stack_base_register]) < frame.caller.sp


def _faulted(frame: ManagedFrame) -> bool:
    """A method in which an instruction faulted does not go on there, so that its scratch registers are dead: FaultingExceptionFrame is no
    resumable Frame (GetFrameAttribs of src/coreclr/vm/frames.h, v3.1 to v10.0)."""
    return frame.active and frame.interrupted


def _register(slot: Slot, frame: ManagedFrame) -> Reference:
    name = slot.register or ""
    return Reference(frame.context.saved_at.get(name), frame.context.value(name), slot.interior, slot.pinned, name, None)


def _stack(memory: Memory, slot: Slot, info: GcInfo, frame: ManagedFrame) -> Reference | None:
    """None for an outgoing argument of a call: it belongs to what was called (IsScratchStackSlot)."""
    register, base = _base(slot, info, frame)
    address = (base + slot.offset) & _MASK
    active = frame.active and not _faulted(frame)
    if not active and frame.sp <= address < frame.sp + info.header.outgoing_bytes:
        return None
    return Reference(address, memory.pointer(address), slot.interior, slot.pinned, register, slot.offset)


def _base(slot: Slot, info: GcInfo, frame: ManagedFrame) -> tuple[str, int]:
    """(name, value) of what a stack slot counts from."""
    if slot.base == "sp":
        return info.encoding.stack_pointer, frame.sp
    if slot.base == "caller sp":
        if frame.caller is None:
            raise Malformed("the frame could not be unwound, so its caller's stack pointer is not known")
        return CALLER_SP, frame.caller.sp
    number = info.header.stack_base_register
    if number is None:
        raise Malformed("GcInfo has slots relative to a frame register, but names none")
    name = info.encoding.registers[number]
    return name, frame.context.value(name)
