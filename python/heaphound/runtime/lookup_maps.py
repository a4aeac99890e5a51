"""Maps from a metadata row to a runtime structure (LookupMap, src/coreclr/vm/ceeload.h): blocks of pointers, chained as a module grows."""

from collections.abc import Iterator

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS

_MOST_ROWS = 1 << 24  # rows of a metadata table: a row id has 24 bits


class LookupMaps:
    """Reads of LookupMaps by the address of their first block. Raises Unreadable, LimitExceeded for absurd counts, Malformed for a loop."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._next = layout.offset("ModuleLookupMap", "Next")
        self._table = layout.offset("ModuleLookupMap", "TableData")
        self._count = layout.offset("ModuleLookupMap", "Count")
        self._flags = layout.offset("ModuleLookupMap", "SupportedFlagsMask")

    def _blocks(self, address: int) -> Iterator[tuple[int, int]]:
        """(table, entry count) of each block."""
        first, total = address, 0
        for _ in range(LIMITS.lookup_map_blocks):
            count = self._memory.u32(address + self._count)
            total += count
            if total > _MOST_ROWS:
                raise LimitExceeded(f"the map at {first:#x} claims {total} entries")
            yield self._memory.pointer(address + self._table), count
            address = self._memory.pointer(address + self._next)
            if not address:
                return
            if address == first:
                raise Malformed(f"the blocks of the map at {first:#x} form a loop")
        raise LimitExceeded(f"the map at {first:#x} has more than {LIMITS.lookup_map_blocks} blocks")

    def _mask(self, address: int) -> int:
        return ~self._memory.u64(address + self._flags)

    def entry_count(self, address: int) -> int:
        """How many rows the map has room for, row 0 included."""
        return sum(count for _, count in self._blocks(address))

    def get(self, address: int, row: int) -> int:
        """The structure of a row, 0 where there is none (yet)."""
        left = row
        for table, count in self._blocks(address):
            if left < count:
                return self._memory.pointer(table + 8 * left) & self._mask(address) if table else 0
            left -= count
        return 0

    def items(self, address: int) -> Iterator[tuple[int, int]]:
        """(row, structure) of every row that has one, ascending."""
        mask = self._mask(address)
        first = 0
        for table, count in self._blocks(address):
            if table and count:
                for index, value in enumerate(self._memory.words(table, count)):
                    if value & mask:
                        yield first + index, value & mask
            first += count
