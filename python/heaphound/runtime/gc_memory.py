"""Memory of the GC besides its segments: the tables that it keeps about the heap, and the address range that its regions come from.

Sources: src/coreclr/gc/gcinterface.dacvars.def (bookkeeping_start, from 8.0), gcpriv.h (card_table_info), docs/design/datacontracts/GC.md.
"""

from dataclasses import dataclass

import numpy as np

from heaphound.dump.elf_image import PF_WRITE
from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.heap import GCHeap
from heaphound.runtime.runtime import Runtime

PAGE = 4096
USER_SPACE = 1 << 56  # end of a process's addresses on x64 with five-level page tables, the most that either machine has


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """One reservation of card, brick, mark and region tables: [start, end), partly committed, for the heap addresses [lowest, highest)."""

    start: int
    end: int
    lowest: int
    highest: int


def read_bookkeeping(runtime: Runtime, heap: GCHeap) -> list[Bookkeeping]:
    """The reservations in use, the current one first.

    Before 8.0 the GC does not say where they are; then they are found by search: a page that begins with a description of
    tables for exactly such a heap. Raises LayoutError when that finds none, Malformed for a list that makes no sense, Unreadable.
    """
    if runtime.layout.has("GcDacVars", "BookkeepingStart"):
        return _listed(runtime)
    found = [table for address in _candidates(runtime, heap) if (table := _described(runtime, address, heap)) is not None]
    if not found:
        raise LayoutError(f"the GC of .NET {runtime.layout.version} does not say where its card tables are, and no page begins like them")
    return found


def _listed(runtime: Runtime) -> list[Bookkeeping]:
    memory, layout = runtime.memory, runtime.layout

    def variable(name: str) -> int:
        return runtime.gc.address + layout.offset("GcDacVars", name)

    info_bytes = memory.u64(variable("CardTableInfoSize"))
    table = memory.pointer(memory.pointer(variable("BookkeepingStart")))
    found: list[Bookkeeping] = []
    for _ in range(LIMITS.gc_bookkeeping_tables):
        described = _table(runtime, table)
        if described.end <= table or described.end >= USER_SPACE or described.lowest >= described.highest:
            raise Malformed(
                f"the GC's tables at {table:#x} claim {described.end - table} bytes for {described.lowest:#x} to {described.highest:#x}"
            )
        if memory.u32(table + layout.offset("CardTableInfo", "Recount")):
            found.append(described)
        following = memory.pointer(table + layout.offset("CardTableInfo", "NextCardTable"))
        if following <= info_bytes:
            return found
        table = following - info_bytes  # the link names the cards, which begin behind the information
    raise LimitExceeded(f"the list of the GC's tables is longer than {LIMITS.gc_bookkeeping_tables}, or runs in a circle")


def _table(runtime: Runtime, address: int) -> Bookkeeping:
    def at(name: str) -> int:
        return runtime.memory.pointer(address + runtime.layout.offset("CardTableInfo", name))

    return Bookkeeping(address, address + at("Size"), at("LowestAddress"), at("HighestAddress"))


def _candidates(runtime: Runtime, heap: GCHeap) -> list[int]:
    """Pages that begin with a heap's lowest and highest address as the tables' description does. O(pages of writable memory).

    Every writable page is looked at, because the kernel and createdump join neighbouring mappings of equal access: the start of a
    mapping alone does not show.
    """
    memory, layout = runtime.memory, runtime.layout
    starts = [segment.committed_start for segment in heap.segments]
    found: list[int] = []
    for address, size, _, _, flags in runtime.core.image.segments:
        if not flags & PF_WRITE or not starts:
            continue
        pages = np.arange(-(-address // PAGE) * PAGE, address + size, PAGE, dtype=np.uint64)
        lowest, lowest_present = memory.image.gather_u64(pages + np.uint64(layout.offset("CardTableInfo", "LowestAddress")))
        highest, highest_present = memory.image.gather_u64(pages + np.uint64(layout.offset("CardTableInfo", "HighestAddress")))
        around = (lowest <= np.uint64(max(starts))) & (highest > np.uint64(min(starts))) & (highest < np.uint64(USER_SPACE))
        found += pages[lowest_present & highest_present & (lowest > 0) & around].tolist()
    return found


def _described(runtime: Runtime, address: int, heap: GCHeap) -> Bookkeeping | None:
    """The tables that begin at `address`, if they are those of `heap`: for all of its segments, used, their parts inside."""
    memory, layout = runtime.memory, runtime.layout
    segments = [segment for segment in heap.segments if segment.kind != "Frozen"]
    try:
        table = _table(runtime, address)
        users = memory.u32(address + layout.offset("CardTableInfo", "Recount"))
        bricks, marks = (memory.pointer(address + layout.offset("CardTableInfo", name)) for name in ("BrickTable", "MarkArray"))
    except Unreadable:
        return None
    fits = (
        bool(segments)
        and 1 <= users <= max(1, len(heap.heaps))
        and table.lowest % PAGE == table.highest % PAGE == 0  # they bound reservations
        and table.end - table.start < table.highest - table.lowest
        and table.lowest <= min(segment.committed_start for segment in segments)
        and max(segment.reserved_end for segment in segments) <= table.highest < USER_SPACE
        and address < bricks <= table.end
        and (
            marks == 0 or address < marks <= table.end
        )  # a GC that was told not to be concurrent has no mark array (gc.cpp, make_card_table)
    )
    return table if fits else None
