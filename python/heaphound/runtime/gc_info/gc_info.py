"""GcInfo of one method: decode once, then ask which slots are live at an instruction."""

from dataclasses import dataclass, field

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.gc_info.bits import BitReader, Source
from heaphound.runtime.gc_info.encoding import GcInfoEncoding, encoding_of
from heaphound.runtime.gc_info.header import GcInfoHeader, read_header
from heaphound.runtime.gc_info.liveness import live_at_safe_point, live_in_range
from heaphound.runtime.gc_info.slots import Slot, SlotTable, read_slot_table

_KEPT_SLOTS = 1_024  # longer answers are worked out again: kept for each place of a method they could fill the memory


@dataclass(frozen=True, slots=True)
class FrameState:
    """How a frame is stopped (the runtime's ICodeManagerFlags of src/coreclr/inc/eetwain.h)."""

    active: bool = False
    """The instruction is the next to run, so scratch registers and outgoing arguments are live."""
    aborted: bool = False
    """Execution was torn out by an exception and does not go on there."""
    parent_of_funclet: bool = False
    """A funclet further in reported for it."""
    filter_funclet: bool = False
    """It is a filter, whose parent reports the untracked slots."""
    faulted: bool = False
    """It was torn out by a fault of the instruction itself, and not of a call (FRAME_ATTR_FAULTED)."""


@dataclass(frozen=True, slots=True)
class GcInfo:
    """Decoded header and tables; liveness is read from the bits at the first question about a place, and kept: recursion asks again."""

    encoding: GcInfoEncoding
    header: GcInfoHeader
    ranges: tuple[tuple[int, int], ...]
    """Fully interruptible code: (start, end), in bytes from the start of the method."""
    slots: SlotTable
    _reader: BitReader
    _safe_points: int
    _liveness: int
    _known: dict[tuple[int, FrameState], list[Slot]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def safe_points(self) -> tuple[int, ...]:
        """Offsets of the return addresses of call sites with information of their own, ascending, in bytes."""
        inside = 0 if self.header.exact_safe_points else 1
        reader = self._reader.at(self._safe_points)
        bits, shift = self._safe_point_bits, self.header.offset_shift
        return tuple((reader.read(bits) << shift) + inside for _ in range(self.header.safe_point_count))

    def live_slots(self, offset: int, state: FrameState) -> list[Slot]:
        """The slots that hold references when `offset` (of a return address, where the frame is not active) is reached.

        Raises Malformed, Unreadable.
        """
        found = self._known.get((offset, state))
        if found is None:
            found = self._live(offset, state)
            if len(found) <= _KEPT_SLOTS:
                self._known[offset, state] = found
        return found

    def _live(self, offset: int, state: FrameState) -> list[Slot]:
        if state.parent_of_funclet and self.header.only_leaf:
            return []
        found = self._tracked(self._inside(offset, state), state)
        if found is None:
            return []
        if not (state.parent_of_funclet or state.filter_funclet):
            found.extend(self.slots.untracked)
        return found

    def tells(self, offset: int, state: FrameState) -> bool:
        """Whether there is information for an offset: code that is not fully interruptible has none between its call sites.

        The runtime never stops a thread for a collection there, but a dump may find it there; then only a scan of the frame helps.
        """
        if state.aborted or not state.active or not self.slots.tracked:
            return True
        inside = self._inside(offset, state)
        return self._safe_point_index(inside) is not None or self._place_in_ranges(inside) is not None

    def _inside(self, offset: int, state: FrameState) -> int:
        """The offset to look up. Before version 4 that of a return address lies inside of the call: behind it may be another block."""
        if self.header.exact_safe_points or state.faulted:
            return offset
        if state.active:  # stopped at the return address of a call, which 9.0 allows
            at_call = self._place_in_ranges(offset) is None and self._safe_point_index(offset - 1) is not None
            return offset - 1 if at_call else offset
        return offset if state.aborted and self.header.aborted_behind_calls else offset - 1

    def _tracked(self, offset: int, state: FrameState) -> list[Slot] | None:
        """Live tracked slots; None where even untracked ones must not be reported."""
        safe_point = None if state.aborted else self._safe_point_index(offset)
        position = length = 0
        if safe_point is None and self.ranges:
            place = self._place_in_ranges(offset)
            if place is None:
                return None
            position, length = place
        tracked = self.slots.tracked
        if not tracked:
            return []
        reader = self._reader.at(self._liveness)
        if safe_point is not None:
            live = live_at_safe_point(reader, self.encoding, safe_point, self.header.safe_point_count, len(tracked))
        elif not self.ranges:
            return []
        else:
            live = live_in_range(reader, self.encoding, self.header.safe_point_count, len(tracked), position, length)
        chosen = [tracked[index] for index in live]
        return chosen if state.active else [slot for slot in chosen if slot.register not in self.encoding.scratch_registers]

    @property
    def _safe_point_bits(self) -> int:
        return _ceiling_of_log2(self.header.code_length >> self.header.offset_shift)

    def _safe_point_index(self, offset: int) -> int | None:
        wanted = offset >> self.header.offset_shift
        bits = self._safe_point_bits
        low, high = 0, self.header.safe_point_count
        reader = self._reader.at(self._safe_points)
        while low < high:
            middle = (low + high) // 2
            reader.position = self._safe_points + middle * bits
            found = reader.read(bits)
            if found == wanted:
                return middle
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return None

    def _place_in_ranges(self, offset: int) -> tuple[int, int] | None:
        """(place of an offset in the interruptible ranges laid end to end, their whole length), normalised; None outside of them."""
        shift = self.header.offset_shift
        place, length = None, 0
        for start, end in self.ranges:
            if start <= offset < end:
                place = length + (offset - start >> shift)
            length += end - start >> shift
        return None if place is None else (place, length)


def read_gc_info(memory: Memory, address: int, version: int, machine: str) -> GcInfo:
    """Decode the GcInfo at an address. Raises Malformed, Unreadable."""

    def source(offset: int, size: int) -> bytes:
        present = memory.readable_bytes(address + offset, size)
        return memory.bytes(address + offset, present or size)

    return decode_gc_info(source, version, machine)


def decode_gc_info(source: Source, version: int, machine: str) -> GcInfo:
    """Decode GcInfo from its bytes. Raises Malformed, and what the source raises."""
    encoding = encoding_of(machine)
    reader = BitReader(source)
    header = read_header(reader, version, encoding)
    safe_points = reader.position
    reader.skip(header.safe_point_count * _ceiling_of_log2(header.code_length >> header.offset_shift))
    ranges = _ranges(reader, header, encoding)
    slots = read_slot_table(reader, encoding)
    return GcInfo(encoding, header, ranges, slots, reader, safe_points, reader.position)


def _ranges(reader: BitReader, header: GcInfoHeader, encoding: GcInfoEncoding) -> tuple[tuple[int, int], ...]:
    if header.range_count > LIMITS.gc_ranges:
        raise LimitExceeded(f"GcInfo claims {header.range_count} interruptible ranges, more than {LIMITS.gc_ranges}")
    found: list[tuple[int, int]] = []
    end = 0
    for _ in range(header.range_count):
        start = end + (reader.unsigned(encoding.range_delta_base) << header.offset_shift)
        end = start + (reader.unsigned(encoding.range_delta_base) + 1 << header.offset_shift)
        if end > header.code_length:
            raise Malformed(f"GcInfo has an interruptible range up to {end} in {header.code_length} bytes of code")
        found.append((start, end))
    return tuple(found)


def _ceiling_of_log2(value: int) -> int:
    return (value - 1).bit_length() if value > 1 else 0
