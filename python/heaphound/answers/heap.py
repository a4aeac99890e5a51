"""`heap`: heaps, generations, segments or regions, allocation contexts."""

import numpy as np

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.results.answer import Answer
from heaphound.results.heap import AllocationContextRow, GenerationSize, HeapResult, HeapRow, SegmentRow
from heaphound.runtime.heap import Segment
from heaphound.session import Session

GENERATION_NAMES = {0: "gen0", 1: "gen1", 2: "gen2"}
OF_KIND = {"Large": "loh", "Pinned": "poh", "Frozen": "frozen"}
BLOCK = 1 << 20  # objects looked at together
ORDER = ("gen0", "gen1", "gen2", "loh", "poh", "frozen")


def heap(session: Session) -> Answer[HeapResult]:
    """The heap as the GC lays it out, with what the walk found in each segment."""
    found = session.gc_heap
    segments = tuple(_segment(session, segment) for segment in found.segments)
    rows = tuple(
        HeapRow(
            sub_heap.index,
            None if sub_heap.address is None else Address(sub_heap.address),
            sum(segment.size_bytes for segment in found.segments if segment.heap == sub_heap.index),
            sum(segment.committed_end - segment.committed_start for segment in found.segments if segment.heap == sub_heap.index),
            sum(segment.heap == sub_heap.index for segment in found.segments),
        )
        for sub_heap in found.heaps
    )
    result = HeapResult(
        server=found.server,
        regions=found.regions,
        segments=segments,
        allocation_contexts=tuple(AllocationContextRow(Address(start), Address(end)) for start, end in found.allocation_contexts),
        heaps=rows,
        generations=tuple(generation_sizes(session)),
        size_bytes=sum(segment.size_bytes for segment in found.segments),
        committed_bytes=sum(segment.committed_end - segment.committed_start for segment in found.segments),
        gc_in_progress=found.collecting,
    )
    return Answer(dump_facts(session), heap_coverage(session), result)


def _segment(session: Session, segment: Segment) -> SegmentRow:
    count, free_bytes = range_facts(session, segment.start, segment.end)
    return SegmentRow(
        start=Address(segment.start),
        end=Address(segment.end),
        committed_end=Address(segment.committed_end),
        reserved_end=Address(segment.reserved_end),
        kind=segment.kind,
        generation=OF_KIND.get(segment.kind) or ("ephemeral" if segment.generation is None else GENERATION_NAMES[segment.generation]),
        heap=segment.heap,
        object_count=count,
        free_bytes=free_bytes,
        address=Address(segment.address),
    )


def index_range(session: Session, start: int, end: int) -> tuple[int, int]:
    """[first, stop) of the objects that start in [start, end)."""
    return _first_at(session, start), _first_at(session, end)


def _first_at(session: Session, address: int) -> int:
    """Index of the first object at or behind an address, by bisection."""
    low, high = 0, session.table.object_count
    while low < high:
        middle = (low + high) // 2
        if session.table.address_of(middle) < address:
            low = middle + 1
        else:
            high = middle
    return low


def range_facts(session: Session, start: int, end: int) -> tuple[int, int]:
    """(objects, bytes of free blocks) among the objects that start in [start, end)."""
    table = session.table
    first, stop = index_range(session, start, end)
    if table.free_type_index is None or first == stop:
        return stop - first, 0
    free_bytes = 0
    for start_of_block in range(first, stop, BLOCK):
        of_type = table.type_indices(start_of_block, min(start_of_block + BLOCK, stop))
        free = np.flatnonzero(of_type == np.uint32(table.free_type_index)) + start_of_block
        free_bytes += int(table.sizes_of(free.astype(np.uint32)).sum())
    return stop - first, free_bytes


def generation_sizes(session: Session) -> list[GenerationSize]:
    """Each generation over all heaps, in the order of age, then large, pinned and frozen objects; empty ones left out."""
    sums: dict[str, list[int]] = {}
    for segment in session.gc_heap.segments:
        special = OF_KIND.get(segment.kind)
        for number, start, end in segment.generation_ranges:
            name = special or GENERATION_NAMES[number]
            count, free_bytes = range_facts(session, start, end)
            last = end == segment.end
            committed = (segment.committed_end if last else end) - start
            entry = sums.setdefault(name, [0, 0, 0, 0])
            for position, value in enumerate((end - start, free_bytes, committed, count)):
                entry[position] += value
    return [GenerationSize(name, *sums[name]) for name in ORDER if name in sums]
