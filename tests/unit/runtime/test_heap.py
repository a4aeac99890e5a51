"""The heap's structure, read from a toy process: regions and segments, workstation and server, and lists that are broken."""

import pytest

from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.runtime.gc_variables import find_gc_variables
from heaphound.runtime.heap import read_heap
from tests.unit.runtime.toy_process import ToyProcess

A, B, C, D, E = (0x10000 * number for number in range(1, 6))


def small(**options: bool) -> ToyProcess:
    toy = ToyProcess(**options)  # type: ignore[arg-type]  # server and regions
    toy.segment(0, E + 40, E + 0x500, ephemeral=True)
    toy.segment(1, D + 40, D + 0x400)
    toy.segment(2, A + 8, A + 0x100, flags=1)
    toy.segment(2, B + 40, B + 0x200)
    toy.segment(3, C + 40, C + 0x300)
    return toy


def test_regions_have_the_kind_of_their_generation() -> None:
    heap = read_heap(small().runtime())
    assert [(s.kind, s.generation, s.start, s.end) for s in heap.segments] == [
        ("Frozen", 2, A + 8, A + 0x100),
        ("Generation2", 2, B + 40, B + 0x200),
        ("Large", 2, C + 40, C + 0x300),
        ("Generation1", 1, D + 40, D + 0x400),
        ("Generation0", 0, E + 40, E + 0x500),
    ]
    assert heap.regions
    assert not heap.server
    assert heap.gaps == ()
    assert [s.committed_start for s in heap.segments] == [A, B, C, D, E]
    assert heap.object_ranges() == [(s.start, s.end) for s in heap.segments]
    assert heap.segments[0].generation_ranges == ((2, A + 8, A + 0x100),)


def test_an_address_has_the_generation_of_its_segment() -> None:
    heap = read_heap(small().runtime())
    found = [heap.generation_of(address) for address in (A, A + 8, A + 0xFF, A + 0x100, D + 0x100, E + 0x4FF, E + 0x500)]
    assert found == [None, "Frozen", "Frozen", None, "Generation1", "Generation0", None]


def test_an_empty_region_is_listed_and_not_walked() -> None:
    toy = small()
    toy.segment(4, 0x80028, 0x80028)
    heap = read_heap(toy.runtime())
    assert heap.segments[-1].kind == "Pinned"
    assert heap.segments[-1].generation_ranges == ()
    assert (0x80028, 0x80028) not in heap.object_ranges()


def test_segments_have_an_ephemeral_one_with_three_generations() -> None:
    toy = ToyProcess("6.0", regions=False)
    toy.segment(2, A + 40, A + 0x800)
    toy.segment(2, B + 40, B + 0x900, ephemeral=True)
    toy.segment(3, C + 40, C + 0x300)
    toy.heaps[0].starts = {0: B + 0x700, 1: B + 0x300, 2: A + 40}
    heap = read_heap(toy.runtime())
    assert not heap.regions
    assert [(s.kind, s.generation) for s in heap.segments] == [("Generation2", 2), ("Ephemeral", None), ("Large", 2)]
    assert heap.segments[1].generation_ranges == ((2, B + 40, B + 0x300), (1, B + 0x300, B + 0x700), (0, B + 0x700, B + 0x900))
    assert [heap.generation_of(B + offset) for offset in (40, 0x300, 0x700)] == ["Generation2", "Generation1", "Generation0"]


def test_ephemeral_starts_outside_their_segment_are_a_gap() -> None:
    toy = ToyProcess("6.0", regions=False)
    toy.segment(2, B + 40, B + 0x900, ephemeral=True)
    toy.heaps[0].starts = {0: B + 0x100, 1: B + 0x300}
    heap = read_heap(toy.runtime())
    assert heap.segments == ()
    assert "not in" in heap.gaps[0].reason


def test_the_server_gc_has_the_segments_of_all_heaps() -> None:
    toy = ToyProcess(server=True, heaps=2)
    toy.segment(0, A + 40, A + 0x100, heap=1, ephemeral=True)
    toy.segment(0, B + 40, B + 0x100, heap=0, ephemeral=True)
    heap = read_heap(toy.runtime())
    assert heap.server
    assert [sub.index for sub in heap.heaps] == [0, 1]
    assert [(s.heap, s.start, s.end) for s in heap.segments] == [(1, A + 40, A + 0x100), (0, B + 40, B + 0x100)]


def test_an_absurd_heap_count_is_refused() -> None:
    toy = ToyProcess(server=True, heaps=1)
    runtime = toy.runtime()
    toy.put(runtime.memory.pointer(runtime.gc.address + runtime.layout.offset("GcDacVars", "HeapCount")), 5000, 4)
    with pytest.raises(LimitExceeded, match="5000 heaps"):
        read_heap(runtime)


def test_contexts_of_threads_and_generations_are_the_holes() -> None:
    toy = small()
    toy.thread(1, 100, context=(E + 0x100, E + 0x200))
    toy.thread(2, 101)
    toy.heaps[0].contexts[0] = (E + 0x300, E + 0x380)
    heap = read_heap(toy.runtime())
    assert heap.allocation_contexts == ((E + 0x100, E + 0x200), (E + 0x300, E + 0x380))


def test_a_context_that_ends_before_it_begins_is_a_gap() -> None:
    toy = small()
    toy.thread(1, 100, context=(E + 0x200, E + 0x100))
    heap = read_heap(toy.runtime())
    assert heap.allocation_contexts == ()
    assert "ends before" in heap.gaps[0].reason


def test_threads_that_are_not_dumped_leave_the_rest_of_the_heap() -> None:
    toy = small()
    toy.thread(1, 100, context=(E + 0x100, E + 0x200), RuntimeThreadLocals=0x600000000000)
    toy.heaps[0].contexts[0] = (E + 0x300, E + 0x380)
    heap = read_heap(toy.runtime())
    assert heap.allocation_contexts == ((E + 0x300, E + 0x380),)
    assert "allocation context of thread" in heap.gaps[0].reason
    runtime = toy.runtime()
    toy.put(toy.store + toy.layout.offset("ThreadStore", "FirstThreadLink"), 0x600000000000)
    assert "allocation contexts of threads" in read_heap(runtime).gaps[0].reason
    assert len(read_heap(runtime).segments) == 5


def test_a_collection_under_way_is_told() -> None:
    toy = small()
    toy.invalid_count, toy.background_state = 1, 0
    heap = read_heap(toy.runtime())
    assert (heap.collecting, heap.background_collecting) == (True, True)
    assert (read_heap(small().runtime()).collecting, read_heap(small().runtime()).background_collecting) == (False, False)


def test_a_loop_of_segments_is_a_gap_and_the_rest_is_read() -> None:
    toy = small()
    runtime = toy.runtime()
    first, second = (segment[0] for segment in toy.heaps[0].lists[2])
    toy.fill(second, "HeapSegment", Next=first)
    heap = read_heap(runtime)
    assert len(heap.segments) == 5
    assert "loops" in heap.gaps[0].reason


def test_a_segment_whose_bounds_are_not_in_order_is_a_gap() -> None:
    toy = small()
    runtime = toy.runtime()
    toy.fill(toy.heaps[0].lists[2][1][0], "HeapSegment", Allocated=B + 0x900)
    heap = read_heap(runtime)
    assert [s.kind for s in heap.segments] == ["Frozen", "Large", "Generation1", "Generation0"]
    assert "not in order" in heap.gaps[0].reason


def test_a_list_that_leaves_the_dump_is_a_gap() -> None:
    toy = small()
    runtime = toy.runtime()
    toy.fill(toy.heaps[0].lists[2][0][0], "HeapSegment", Next=0x600000000000)
    heap = read_heap(runtime)
    assert "not in the dump" in heap.gaps[0].reason
    assert heap.gaps[0].address == 0x600000000000


def test_segments_that_overlap_are_malformed() -> None:
    toy = small()
    toy.segment(4, C + 0x200, C + 0x400)
    with pytest.raises(Malformed, match="overlap"):
        read_heap(toy.runtime())


def test_gc_variables_must_be_one_and_where_the_layout_has_them() -> None:
    toy = small()
    runtime = toy.runtime()
    entry = runtime.layout.global_address("GcDacVars")
    other = toy.words(runtime.gc.address)
    with pytest.raises(LayoutError, match="2 of the 2 entries"):
        find_gc_variables(runtime.memory, runtime.layout, [entry, other])
    with pytest.raises(LayoutError, match="0 of the 1 entries"):
        find_gc_variables(runtime.memory, runtime.layout, [toy.words(toy.words(*range(64)))])
    with pytest.raises(LayoutError, match="the layout names"):
        find_gc_variables(runtime.memory, runtime.layout, [other])
