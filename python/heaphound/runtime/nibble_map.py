"""From an instruction address in a code heap to the start of its method, by the heap's nibble map.

A code heap has one 4-bit number for every 32 bytes: 0, or 1 + (offset of the method that starts there) / 4. Eight of them make a 32-bit
unit, the first in the highest bits. Sources: src/coreclr/vm/nibblemapmacros.h; docs/design/datacontracts/ExecutionManager.md (version 1:
linear; version 2: a unit inside a method holds the method's address instead, so that one look suffices).
"""

from collections.abc import Iterator
from struct import unpack
from typing import Literal

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.limits import LIMITS

NibbleMapKind = Literal["linear", "constant-time"]

BYTES_PER_NIBBLE = 32
BYTES_PER_UNIT = 8 * BYTES_PER_NIBBLE
_UNIT_BYTES = 4
_PAGE = 4096
_CODE_ALIGNMENT = 4
_FIRST_POINTER_NIBBLE = 9  # a last nibble above 8 cannot be an offset (32 / 4 = 8 places), so it marks a pointer


class NibbleMap:
    """The map of one code heap: `base` is the address of its first 32 bytes, `table` the address of its units."""

    __slots__ = ("_base", "_memory", "_pointers", "_table")

    def __init__(self, memory: Memory, base: int, table: int, kind: NibbleMapKind) -> None:
        self._memory = memory
        self._base = base
        self._table = table
        self._pointers = kind == "constant-time"

    def method_start(self, address: int) -> int | None:
        """Start of the last method at or before `address`; None if there is none. Raises Unreadable, Malformed."""
        offset = address - self._base
        if offset < 0:
            raise Malformed(f"{address:#x} lies before its code heap, which starts at {self._base:#x}")
        index = offset // BYTES_PER_NIBBLE
        found = self._in_unit(index, offset)
        if found is not None or index < 8:
            return found
        last = index // 8 - 1
        return self._last(last, self._unit(last)) if self._pointers else self._before(last + 1)

    def method_starts(self, end: int) -> Iterator[int]:
        """Starts of all methods before `end`, ascending. Raises Unreadable."""
        units = -(-(end - self._base) // BYTES_PER_UNIT)
        for unit_index, value in enumerate(unpack(f"<{units}I", self._memory.bytes(self._table, 4 * units))):
            if value == 0 or self._is_pointer(value):
                continue
            for nibble in range(8):
                place = value >> (28 - 4 * nibble) & 15
                if place:
                    yield self._start(8 * unit_index + nibble, place)

    def _in_unit(self, index: int, offset: int) -> int | None:
        value = self._unit(index // 8)
        if self._is_pointer(value):
            return self._pointer(value)
        place = value >> (28 - 4 * (index % 8)) & 15
        if place and place <= 1 + offset % BYTES_PER_NIBBLE // _CODE_ALIGNMENT:
            return self._start(index, place)
        before = value & ~((1 << (32 - 4 * (index % 8))) - 1)
        return self._last(index // 8, before)

    def _before(self, end: int) -> int | None:
        """Start of the last method before unit `end`, as far back as a method can reach. Pages are read as a whole: most hold nothing."""
        floor = max(0, end - LIMITS.method_code_bytes // BYTES_PER_UNIT)
        while end > floor:
            page = (self._table + _UNIT_BYTES * end - 1) & ~(_PAGE - 1)
            start = max(floor, -(-(page - self._table) // _UNIT_BYTES))
            if start >= end:  # a table that does not lie at a multiple of four
                start = end - 1
            used = self._memory.bytes(self._table + _UNIT_BYTES * start, _UNIT_BYTES * (end - start)).rstrip(b"\0")
            if used:
                last = start + (len(used) - 1) // _UNIT_BYTES
                return self._last(last, self._unit(last))
            end = start
        return None

    def _last(self, unit_index: int, value: int) -> int | None:
        """Start of the last method of a unit; None for an empty unit."""
        if self._is_pointer(value):
            return self._pointer(value)
        for nibble in range(7, -1, -1):
            place = value >> (28 - 4 * nibble) & 15
            if place:
                return self._start(8 * unit_index + nibble, place)
        return None

    def _unit(self, unit_index: int) -> int:
        return self._memory.u32(self._table + 4 * unit_index)

    def _is_pointer(self, value: int) -> bool:
        return self._pointers and value & 15 >= _FIRST_POINTER_NIBBLE

    def _pointer(self, value: int) -> int:
        return self._base + (value & ~15) + (value & 15) * _CODE_ALIGNMENT - _FIRST_POINTER_NIBBLE * _CODE_ALIGNMENT

    def _start(self, index: int, place: int) -> int:
        return self._base + index * BYTES_PER_NIBBLE + (place - 1) * _CODE_ALIGNMENT
