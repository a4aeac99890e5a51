"""Writes GcInfo bit by bit, so that a test knows what it must decode to (the format as src/coreclr/gcinfo/gcinfoencoder.cpp writes it)."""

from collections.abc import Sequence
from dataclasses import dataclass

from heaphound.runtime.gc_info.encoding import GcInfoEncoding
from heaphound.runtime.gc_info.slots import Slot

BASES = ("caller sp", "sp", "frame register")
Live = tuple[bool, ...]


class BitWriter:
    """A stream of bits, lowest first."""

    def __init__(self) -> None:
        self.value = 0
        self.position = 0

    def write(self, value: int, bits: int) -> None:
        assert 0 <= value < 1 << bits
        self.value |= value << self.position
        self.position += bits

    def unsigned(self, value: int, base: int) -> None:
        assert value >= 0
        while value >> base:
            self.write(value & ((1 << base) - 1) | 1 << base, base + 1)
            value >>= base
        self.write(value, base + 1)

    def signed(self, value: int, base: int) -> None:
        while not -(1 << (base - 1)) <= value < 1 << (base - 1):
            self.write(value & ((1 << base) - 1) | 1 << base, base + 1)
            value >>= base
        self.write(value & ((1 << base) - 1), base + 1)

    def align(self) -> None:
        self.position = (self.position + 7) & ~7

    def data(self) -> bytes:
        return self.value.to_bytes((self.position + 7) // 8 + 1, "little")


@dataclass(frozen=True)
class Method:
    """What to write. `liveness` has one row a safe point; `timeline` one row an instruction of the ranges laid end to end."""

    code_length: int
    registers: Sequence[Slot] = ()
    stack: Sequence[Slot] = ()
    untracked: Sequence[Slot] = ()
    safe_points: Sequence[int] = ()
    liveness: Sequence[Live] = ()
    ranges: Sequence[tuple[int, int]] = ()
    timeline: Sequence[Live] = ()
    flags: int = 0x40
    outgoing: int = 0
    slim: bool = False
    indirect: bool = False
    runs: bool = False


def source_of(data: bytes):  # type: ignore[no-untyped-def]
    """The bytes as the decoder asks for them."""
    return lambda offset, size: data[offset : offset + size]


def write(method: Method, version: int, encoding: GcInfoEncoding) -> bytes:
    """The bytes of its GcInfo."""
    writer, shift = BitWriter(), encoding.instruction_shift if version >= 4 else 0
    _header(writer, method, version, encoding)
    bits = max(0, ((method.code_length >> shift) - 1).bit_length())
    for point in method.safe_points:
        stored = point if version >= 4 else point - 1
        writer.write(stored >> shift, bits)
    end = 0
    for start, stop in method.ranges:
        writer.unsigned((start - end) >> shift, encoding.range_delta_base)
        writer.unsigned(((stop - start) >> shift) - 1, encoding.range_delta_base)
        end = stop
    _slots(writer, method, encoding)
    tracked = len(method.registers) + len(method.stack)
    if tracked and method.safe_points:
        _safe_points(writer, method, encoding)
    if tracked and method.ranges:
        _chunks(writer, method, encoding, tracked, 1 << (encoding.instruction_shift - shift))
    return writer.data()


def _header(writer: BitWriter, method: Method, version: int, encoding: GcInfoEncoding) -> None:
    writer.write(0 if method.slim else 1, 1)
    if method.slim:
        writer.write(1 if method.flags & 0x40 else 0, 1)
    else:
        writer.write(method.flags, 10)
    if version < 4:
        writer.write(0, encoding.return_kind_bits_slim if method.slim else encoding.return_kind_bits_fat)
    writer.unsigned(method.code_length >> encoding.instruction_shift, encoding.code_length_base)
    if not method.slim:
        if method.flags & 0x34:
            writer.unsigned(3, encoding.prolog_size_base)
        if method.flags & 0x4:
            writer.unsigned(2, encoding.epilog_size_base)
        for flag in (0x4, 0x8, 0x30):
            if method.flags & flag:
                writer.signed(-flag, encoding.stack_slot_base)
        if method.flags & 0x40:
            writer.unsigned(0, encoding.stack_base_register_base)
        if method.flags & 0x100:
            writer.unsigned(7, encoding.edit_and_continue_base)
            if encoding.has_fixed_stack_frame:
                writer.unsigned(9, encoding.edit_and_continue_base)
        if method.flags & 0x200:
            writer.signed(-5, encoding.stack_slot_base)
        writer.unsigned(method.outgoing // 8, encoding.stack_area_base)
    writer.unsigned(len(method.safe_points), encoding.num_safe_points_base)
    if not method.slim:
        writer.unsigned(len(method.ranges), encoding.num_interruptible_ranges_base)


def _slots(writer: BitWriter, method: Method, encoding: GcInfoEncoding) -> None:
    writer.write(1 if method.registers else 0, 1)
    if method.registers:
        writer.unsigned(len(method.registers), encoding.num_registers_base)
    has_stack = bool(method.stack or method.untracked)
    writer.write(1 if has_stack else 0, 1)
    if has_stack:
        writer.unsigned(len(method.stack), encoding.num_stack_slots_base)
        writer.unsigned(len(method.untracked), encoding.num_untracked_base)
    number = flags = 0
    for index, slot in enumerate(method.registers):
        following = encoding.registers.index(slot.register or "")
        if index == 0 or flags:
            flags = slot.interior | slot.pinned << 1
            writer.unsigned(following, encoding.register_base)
            writer.write(flags, 2)
        else:
            writer.unsigned(following - number - 1, encoding.register_delta_base)
        number = following
    for slots in (method.stack, method.untracked):
        _stack_slots(writer, slots, encoding)


def _stack_slots(writer: BitWriter, slots: Sequence[Slot], encoding: GcInfoEncoding) -> None:
    offset = flags = 0
    for index, slot in enumerate(slots):
        writer.write(BASES.index(slot.base or ""), 2)
        if index == 0 or flags:
            flags = slot.interior | slot.pinned << 1
            writer.signed(slot.offset // 8, encoding.stack_slot_base)
            writer.write(flags, 2)
        else:
            writer.unsigned((slot.offset - offset) // 8, encoding.stack_slot_delta_base)
        offset = slot.offset


def _slot_set(writer: BitWriter, live: Live, encoding: GcInfoEncoding, runs: bool) -> None:
    """A set of slots, as bits or as runs that begin with absent ones."""
    writer.write(1 if runs else 0, 1)
    if not runs:
        for bit in live:
            writer.write(bit, 1)
        return
    lengths = [0]
    present = False
    for bit in live:
        if bit != present:
            lengths.append(0)
            present = bit
        lengths[-1] += 1
    writer.write(0, 1)
    writer.unsigned(lengths[0], encoding.skip_base)
    for index, length in enumerate(lengths[1:]):
        writer.unsigned(length - 1, encoding.run_base if index % 2 == 0 else encoding.skip_base)


def _safe_points(writer: BitWriter, method: Method, encoding: GcInfoEncoding) -> None:
    writer.write(1 if method.indirect else 0, 1)
    if not method.indirect:
        for row in method.liveness:
            for bit in row:
                writer.write(bit, 1)
        return
    states, offsets = BitWriter(), []
    for row in method.liveness:
        offsets.append(states.position)
        _slot_set(states, row, encoding, method.runs)
    bits = max(1, max(offsets).bit_length())
    writer.unsigned(bits - 1, encoding.pointer_size_base)
    for offset in offsets:
        writer.write(offset, bits)
    writer.align()
    writer.write(states.value, states.position)


def _chunks(writer: BitWriter, method: Method, encoding: GcInfoEncoding, tracked: int, offsets_an_instruction: int) -> None:
    size = 1 << encoding.chunk_offset_bits
    rows = [row for row in method.timeline for _ in range(offsets_an_instruction)]
    pieces = [rows[at : at + size] for at in range(0, len(rows), size)]
    chunks, pointers = BitWriter(), []
    for piece in pieces:
        could = tuple(any(row[slot] for row in piece) for slot in range(tracked))
        if not any(could):  # an absent chunk repeats the end of the last one, so that one must end with nothing live: keep it present
            could = (True, *could[1:])
        pointers.append(chunks.position + 1)
        _slot_set(chunks, could, encoding, method.runs)
        slots = [slot for slot in range(tracked) if could[slot]]
        for slot in slots:
            chunks.write(piece[-1][slot], 1)
        for slot in slots:
            for at in range(1, len(piece)):
                if piece[at][slot] != piece[at - 1][slot]:
                    chunks.write(1, 1)
                    chunks.write(at, encoding.chunk_offset_bits)
            chunks.write(0, 1)
    bits = max(pointers).bit_length()
    writer.unsigned(bits, encoding.pointer_size_base)
    for pointer in pointers:
        writer.write(pointer, bits)
    writer.align()
    writer.write(chunks.value, chunks.position)
