"""The slot table of GcInfo: every register and stack slot of a method that ever holds a reference."""

from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.gc_info.bits import BitReader
from heaphound.runtime.gc_info.encoding import GcInfoEncoding

StackBase = Literal["caller sp", "sp", "frame register"]
_BASES: tuple[StackBase, ...] = ("caller sp", "sp", "frame register")
_INTERIOR, _PINNED = 1, 2
_RANGE = 1 << 31


@dataclass(frozen=True, slots=True)
class Slot:
    """A register (`register` is its name, `base` None) or a stack slot (`register` None): `offset` bytes from `base`."""

    register: str | None
    base: StackBase | None
    offset: int
    interior: bool
    pinned: bool


@dataclass(frozen=True, slots=True)
class SlotTable:
    """Tracked slots, whose liveness is known at each call site or offset, and untracked ones, which are live in the whole method."""

    tracked: tuple[Slot, ...]
    untracked: tuple[Slot, ...]


def read_slot_table(reader: BitReader, encoding: GcInfoEncoding) -> SlotTable:
    """Decode the table at the reader's position (GcSlotDecoder::DecodeSlotTable). Raises Malformed, Unreadable."""
    registers = reader.unsigned(encoding.num_registers_base) if reader.flag() else 0
    stack = untracked = 0
    if reader.flag():
        stack = reader.unsigned(encoding.num_stack_slots_base)
        untracked = reader.unsigned(encoding.num_untracked_base)
    total = registers + stack + untracked
    if total > LIMITS.gc_slots:
        raise LimitExceeded(f"GcInfo claims {total} slots, more than {LIMITS.gc_slots}")
    tracked = [*_registers(reader, encoding, registers), *_stack_slots(reader, encoding, stack)]
    return SlotTable(tuple(tracked), tuple(_stack_slots(reader, encoding, untracked)))


def _registers(reader: BitReader, encoding: GcInfoEncoding, count: int) -> list[Slot]:
    """After a slot without flags comes a delta, and its flags are the same; after one with flags a number and flags."""
    found: list[Slot] = []
    number = flags = 0
    for index in range(count):
        if index == 0 or flags:
            number = reader.unsigned(encoding.register_base)
            flags = reader.read(2)
        else:
            number += reader.unsigned(encoding.register_delta_base) + 1
        if number >= len(encoding.registers):
            raise Malformed(f"GcInfo names register {number}")
        found.append(Slot(encoding.registers[number], None, 0, bool(flags & _INTERIOR), bool(flags & _PINNED)))
    return found


def _stack_slots(reader: BitReader, encoding: GcInfoEncoding, count: int) -> list[Slot]:
    found: list[Slot] = []
    offset = flags = 0
    for index in range(count):
        base = reader.read(2)
        if base >= len(_BASES):
            raise Malformed(f"GcInfo has a stack slot with base {base}")
        if index == 0 or flags:
            offset = reader.signed(encoding.stack_slot_base) * 8
            flags = reader.read(2)
        else:
            offset += reader.unsigned(encoding.stack_slot_delta_base) * 8
        if not -_RANGE <= offset < _RANGE:
            raise Malformed(f"GcInfo has a stack slot {offset} bytes from its base")
        found.append(Slot(None, _BASES[base], offset, bool(flags & _INTERIOR), bool(flags & _PINNED)))
    return found
