"""The managed heap as text: generations, heaps, segments, allocation contexts."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.heap import HeapResult
from heaphound.views.describe import coverage_blocks, headline
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(answer: Answer[HeapResult]) -> Iterator[Block]:
    """Totals first, then from coarse to fine."""
    result = answer.result
    yield Line(headline(answer.dump), "strong")
    mode = "server" if result.server else "workstation"
    kind = f"{mode} GC, {count(len(result.heaps), 'heap')}, {'regions' if result.regions else 'segments'}"
    yield Fact("Heap", kind)
    unread = [gap for gap in answer.coverage.gaps if gap.start == gap.end]  # parts of the GC's lists, not stretches of memory
    if not result.segments and unread:
        yield Fact("Used", "not known: no segment or region can be read", "warn")
    else:
        at_least = "at least " if unread else ""
        yield Fact("Used", f"{at_least}{exact(result.size_bytes)} of {at_least}{exact(result.committed_bytes)} committed")
    if result.gc_in_progress:
        yield Fact("GC", "a collection was running when the dump was taken: the heap may look broken where it was at work", "warn")
    if result.generations:
        yield Line("")
        rows = [
            (
                row.generation,
                Size(row.size_bytes),
                Size(row.free_bytes),
                f"{row.fragmentation:.1%}",
                Size(row.committed_bytes),
                row.object_count,
            )
            for row in result.generations
        ]
        yield Table((*names("Generation"), *numbers("Size", "Free", "Fragmented", "Committed", "Objects")), rows)
    if len(result.heaps) > 1:
        yield Line("")
        heaps = [(heap.index, heap.address, Size(heap.size_bytes), Size(heap.committed_bytes), heap.segments) for heap in result.heaps]
        yield Table((*numbers("Heap"), *names("Address"), *numbers("Size", "Committed", "Segments")), heaps)
    yield Line("")
    yield _segments(result)
    if result.allocation_contexts:
        yield Line("")
        contexts = [(row.start, row.end, Size(row.end - row.start)) for row in result.allocation_contexts]
        yield Table((*names("Unused from", "to"), *numbers("Size")), contexts)
    yield from coverage_blocks(answer.dump, answer.coverage)


def _segments(result: HeapResult) -> Table:
    rows = [
        (
            row.start,
            row.end,
            row.committed_end,
            Size(row.end - row.start),
            None if row.free_bytes is None else Size(row.free_bytes),
            row.object_count,
            row.heap,
            row.kind,
            row.generation,
        )
        for row in result.segments
    ]
    return Table((*names("Start", "End", "Committed to"), *numbers("Size", "Free", "Objects", "Heap"), *names("Kind", "Generation")), rows)
