"""The walk and the references of heaps made in the test: sound ones, cut ones, broken ones."""

from itertools import pairwise
from pathlib import Path
from random import Random
from struct import pack

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaphound._core import Graph, Heap, HeapLayout
from heaphound.errors import Malformed
from tests.unit.kernel.toyheap import (
    ALL,
    ARRAY,
    BYTES,
    FREE,
    HEAP_AT,
    LAYOUT,
    PAIR,
    PLAIN,
    STRING,
    STRUCTS,
    UNLOADABLE,
    ToyHeap,
)

NONE = 0xFFFFFFFF
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_walk(toy: ToyHeap, heap: Heap) -> None:
    """The heap has exactly the objects that were made."""
    addresses = [address for address, _, _ in toy.objects]
    tables = [toy.method_table(kind) for _, kind, _ in toy.objects]
    sizes = [toy.size_of(position) for position in range(len(toy.objects))]
    assert heap.gaps == []
    assert heap.addresses().tolist() == addresses
    assert heap.sizes().tolist() == sizes
    assert heap.method_tables[heap.type_indices()].tolist() == tables
    assert heap.walked_bytes + heap.hole_bytes == len(toy.memory)
    assert heap.walk_checksum() == sum(a * 31 + t * 17 + s for a, t, s in zip(addresses, tables, sizes, strict=True)) % 2**64
    for index, (address, size) in enumerate(zip(addresses, sizes, strict=True)):
        assert heap.address_of(index) == address
        assert heap.index_of(address) == index
        assert heap.index_of(address + 8) is None
        assert heap.index_containing(address + size - 1) == index


def check_account(toy: ToyHeap, heap: Heap) -> None:
    """No byte is lost, and what the table says of itself agrees."""
    gaps = sum(end - start for start, end, _ in heap.gaps)
    assert heap.walked_bytes + heap.hole_bytes + gaps == len(toy.memory)
    addresses = heap.addresses()
    assert heap.indices_of(addresses).tolist() == list(range(len(heap)))
    assert [heap.address_of(index) for index in range(len(heap))] == addresses.tolist()


@st.composite
def toy_heaps(draw: st.DrawFn) -> ToyHeap:
    toy = ToyHeap()
    kinds = st.sampled_from(ALL)
    for kind in draw(st.lists(st.none() | kinds, min_size=1, max_size=60)):
        if kind is None:
            toy.hole(8 * draw(st.integers(3, 40)))
        else:
            toy.add(kind, draw(st.integers(0, 30)) if kind.component_size else 0)
    targets = st.just(0) | st.sampled_from([address for address, _, _ in toy.objects] or [0]) | st.integers(1, 2**64 - 1)
    for slot in toy.slots():
        toy.put(slot, draw(targets))
    return toy


@relaxed
@given(toy_heaps(), st.lists(st.integers(0, 4000), max_size=5))
def test_walk_and_references_of_any_heap(tmp_path: Path, toy: ToyHeap, cuts: list[int]) -> None:
    image = toy.write(tmp_path / "core", tuple(cut for cut in cuts if cut < len(toy.memory)))
    heap = toy.walk(image)
    check_walk(toy, heap)
    graph = toy.graph(image, heap)
    index = {address: position for position, (address, _, _) in enumerate(toy.objects)}
    expected = [
        (position, int.from_bytes(toy.memory[(at := address + offset - HEAP_AT) : at + 8], "little"))
        for position, (address, kind, count) in enumerate(toy.objects)
        for offset in kind.slots(count)
    ]
    nonnull = [(source, value) for source, value in expected if value]
    assert graph.reference_count == len(nonnull)
    assert graph.reference_checksum() == sum(toy.objects[source][0] * 31 + value for source, value in nonnull) % 2**64
    dangling = [(source, value) for source, value in nonnull if value not in index]
    assert graph.dangling_references == dangling
    edges = [(source, index[value]) for source, value in nonnull if value in index]
    for position in range(len(heap)):
        assert graph.references(position).tolist() == [target for source, target in edges if source == position]
        assert graph.referrers(position).tolist() == [source for source, target in edges if target == position]
    assert graph.referrer_counts().tolist() == [sum(target == position for _, target in edges) for position in range(len(heap))]


@pytest.mark.parametrize("strip_bytes", [4096, 8200, 65536, 1 << 20])
def test_strips_do_not_change_the_result(tmp_path: Path, strip_bytes: int) -> None:
    toy = ToyHeap().filled(3000)
    toy.add(ARRAY, 20_000)  # longer than several strips
    toy.hole(5000 * 8)
    toy.filled(3000)
    image = toy.write(tmp_path / "core", cuts=(100_000, 100_008, 300_000))
    check_walk(toy, toy.walk(image, strip_bytes))


def test_strips_are_not_misled_by_what_looks_like_objects(tmp_path: Path) -> None:
    """A byte array full of MethodTable addresses crosses every strip; a walk from a guess inside it must be thrown away."""
    toy = ToyHeap().filled(10)
    decoy = toy.add(BYTES, 200_000)
    toy.filled(200)
    at = decoy + 16 - HEAP_AT
    toy.memory[at : at + 199_992] = pack("<QQQ", toy.method_table(PLAIN), 0, 0) * (199_992 // 24)
    image = toy.write(tmp_path / "core")
    check_walk(toy, toy.walk(image, 4096))


def test_broken_method_table_costs_only_that_object(tmp_path: Path) -> None:
    toy = ToyHeap().filled(300)
    victim = next(position for position in range(100, 300) if toy.objects[position][1] is PAIR)
    toy.put(toy.objects[victim][0], 0xDEAD_BEE8)
    heap = toy.walk(toy.write(tmp_path / "core"))
    check_account(toy, heap)
    address = toy.objects[victim][0]
    assert heap.gaps == [(address, address + 40, "no MethodTable at 0xdeadbee8")]
    assert heap.addresses().tolist() == [at for at, _, _ in toy.objects if at != address]


@pytest.mark.parametrize("count", [0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 5000])
def test_array_longer_than_the_heap_is_a_gap(tmp_path: Path, count: int) -> None:
    toy = ToyHeap().filled(100)
    array = toy.add(STRUCTS, 3)
    toy.filled(100)
    toy.memory[array + 8 - HEAP_AT : array + 12 - HEAP_AT] = pack("<I", count)
    heap = toy.walk(toy.write(tmp_path / "core"))
    check_account(toy, heap)
    assert heap.gaps[0][:2] == (array, array + toy.size_of(100))
    assert "passes" in heap.gaps[0][2]
    assert len(heap) == len(toy.objects) - 1


def test_object_that_reaches_into_a_hole_is_a_gap(tmp_path: Path) -> None:
    toy = ToyHeap().filled(20)
    last = toy.add(STRING, 10)
    toy.hole(64)
    toy.filled(20)
    toy.memory[last + 8 - HEAP_AT : last + 12 - HEAP_AT] = pack("<I", 30)
    heap = toy.walk(toy.write(tmp_path / "core"))
    check_account(toy, heap)
    assert [gap[:2] for gap in heap.gaps] == [(last, last + 48)]
    assert len(heap) == 40


def test_missing_bytes_are_a_gap_and_the_walk_goes_on_behind_them(tmp_path: Path) -> None:
    toy = ToyHeap().filled(400)
    first, last = toy.objects[100][0] - HEAP_AT, toy.objects[200][0] - HEAP_AT
    heap = toy.walk(toy.write(tmp_path / "core", absent=((first, last),)))
    check_account(toy, heap)
    assert heap.gaps == [(HEAP_AT + first, HEAP_AT + last, "not in the dump")]
    assert len(heap) == 300


def test_far_missing_bytes_cost_no_memory(tmp_path: Path) -> None:
    """A range of a terabyte of which the dump has two pages: the table is as large as the pages."""
    toy = ToyHeap().filled(50)
    image = toy.write(tmp_path / "core")
    end = HEAP_AT + (1 << 40)
    heap = Heap.walk(image, LAYOUT, [(HEAP_AT, end)], [], toy.method_table(FREE))
    assert len(heap) == 50
    assert heap.gaps == [(toy.end, end, "not in the dump")]
    assert heap.memory_bytes < 1 << 20


def test_body_that_is_missing_is_counted_slot_by_slot(tmp_path: Path) -> None:
    toy = ToyHeap()
    array = toy.add(ARRAY, 2000)
    toy.filled(30)
    toy.put(array + 16, array)
    toy.put(array + 16 + 8 * 1999, array)
    offset = array - HEAP_AT
    image = toy.write(tmp_path / "core", absent=((offset + 4096, offset + 8192),))
    heap = toy.walk(image)
    check_walk(toy, heap)
    graph = toy.graph(image, heap)
    assert graph.missing_slots == 512
    assert graph.references(0).tolist() == [0, 0]


@relaxed
@given(toy_heaps(), st.integers(0, 2**32), st.integers(1, 30))
def test_any_corruption_is_accounted_for(tmp_path: Path, toy: ToyHeap, seed: int, hits: int) -> None:
    """Random words overwritten with what is worst: garbage, MethodTables, huge counts, null."""
    random = Random(seed)
    words = [0, 2**64 - 1, 0x7FFFFFFF_7FFFFFFF, HEAP_AT, *(toy.method_table(kind) for kind in ALL)]
    for _ in range(hits):
        toy.put(HEAP_AT + 8 * random.randrange(len(toy.memory) // 8), random.choice([random.getrandbits(64), *words]))
    image = toy.write(tmp_path / "core")
    heap = toy.walk(image)
    check_account(toy, heap)
    again = toy.walk(image, 4096)
    assert again.walk_checksum() == heap.walk_checksum()
    assert again.gaps == heap.gaps
    graph = toy.graph(image, heap)
    tree = graph.dominators(heap, np.arange(min(3, len(heap)), dtype=np.uint32))
    assert tree.reachable_bytes <= heap.walked_bytes


@relaxed
@given(st.binary(min_size=8, max_size=4000))
def test_any_bytes_can_be_walked(tmp_path: Path, data: bytes) -> None:
    toy = ToyHeap(memory=bytearray(data[: len(data) & ~7]))
    heap = toy.walk(toy.write(tmp_path / "core"))
    check_account(toy, heap)


@pytest.mark.parametrize(
    ("offset", "word", "reason"),
    [
        (-8, 0, "impossible number of series"),
        (-8, 2**63, "impossible number of series"),
        (-8, 1 << 40, "impossible number of series"),
        (-16, 0, "impossible offset"),
    ],
)
def test_broken_gc_desc_is_reported(tmp_path: Path, offset: int, word: int, reason: str) -> None:
    toy = ToyHeap()
    toy.add(PAIR)
    toy.add(PAIR)
    path = tmp_path / "core"
    toy.write(path)
    table = pack("<II", 1 << 24, 40)
    data = bytearray(path.read_bytes())
    at = data.index(table)
    data[at + offset : at + offset + 8] = pack("<Q", word)
    path.write_bytes(data)
    image = type(toy.write(tmp_path / "other")).open(path)
    heap = toy.walk(image)
    graph = toy.graph(image, heap)
    assert len(graph.unknown_types) == 1
    assert reason in graph.unknown_types[0][1]
    assert graph.reference_count == 0


@pytest.mark.parametrize("word", [2**64 - 8, 2**63, 2**63 - 8])
def test_absurd_series_stay_inside_the_object(tmp_path: Path, word: int) -> None:
    toy = ToyHeap()
    array = toy.add(ARRAY, 3)
    toy.put(array + 16, array)
    path = tmp_path / "core"
    image = toy.write(path)
    data = bytearray(path.read_bytes())
    at = data.index(pack("<qqq", -24, 16, 1))
    data[at + 8 : at + 16] = pack("<Q", word)
    path.write_bytes(data)
    image = type(image).open(path)
    heap = toy.walk(image)
    assert toy.graph(image, heap).reference_count <= 3


def test_dependent_handles_count_and_other_edges_do_not(tmp_path: Path) -> None:
    toy = ToyHeap()
    first, second, third = toy.add(PLAIN), toy.add(PLAIN), toy.add(UNLOADABLE)
    image = toy.write(tmp_path / "core")
    heap = toy.walk(image)
    edges = np.array([0, 1], dtype=np.uint32), np.array([1, NONE], dtype=np.uint32)
    other = np.array([2], dtype=np.uint32), np.array([0], dtype=np.uint32)
    graph = Graph.build(image, LAYOUT, heap, edges, other)
    assert graph.reference_count == 2
    assert graph.reference_checksum() == first * 31 + second + second * 31
    assert graph.references(2).tolist() == [0]
    assert graph.reachable(np.array([2], dtype=np.uint32)).tolist() == [True, True, True]
    assert heap.type_collectible.tolist() == [False, True]
    assert third == heap.address_of(2)
    with pytest.raises(ValueError, match="object index 3 is not below 3"):
        Graph.build(image, LAYOUT, heap, (np.array([3], dtype=np.uint32), np.array([0], dtype=np.uint32)))


@pytest.mark.parametrize(
    ("ranges", "complaint"),
    [
        ([(16, 8)], "0x10-0x8 is no range"),
        ([(0, 2**64 - 8)], "is no range"),
        ([(4, 8)], "0x4-0x8 is not aligned"),
        ([(8, 16), (0, 8)], "0x0-0x8 begins before the one in front of it ends"),
        ([(8, 24), (16, 32)], "0x10-0x20 begins before"),
    ],
)
def test_ranges_out_of_order_are_refused(tmp_path: Path, ranges: list[tuple[int, int]], complaint: str) -> None:
    image = ToyHeap().filled(3).write(tmp_path / "core")
    with pytest.raises(Malformed, match=complaint):
        Heap.walk(image, LAYOUT, ranges, [], 0)


def test_layout_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="method_table_mask"):
        HeapLayout(method_table_mask=7)


def test_holes_may_come_in_any_order(tmp_path: Path) -> None:
    toy = ToyHeap().filled(3)
    toy.hole(64)
    toy.filled(3)
    toy.hole(128)
    toy.filled(3)
    (one, two), expected = toy.holes, toy.walk(image := toy.write(tmp_path / "core"))
    pieces = [two, (one[0] + 16, one[1]), (one[0], one[0] + 24), (2**64 - 8, 2**64 - 1), (64, 32)]
    heap = Heap.walk(image, LAYOUT, [(HEAP_AT, toy.end)], pieces, toy.method_table(FREE))
    assert heap.walk_checksum() == expected.walk_checksum()
    assert heap.hole_bytes == 192
    assert heap.gaps == []


def test_graph_of_another_walk_is_refused(tmp_path: Path) -> None:
    toy = ToyHeap().filled(3)
    image, other = toy.write(tmp_path / "one"), toy.write(tmp_path / "two")
    with pytest.raises(ValueError, match="another image"):
        Graph.build(other, LAYOUT, toy.walk(image))


def test_instances_and_totals(tmp_path: Path) -> None:
    toy = ToyHeap().filled(500)
    heap = toy.walk(toy.write(tmp_path / "core"))
    for type_index, table in enumerate(heap.method_tables.tolist()):
        mine = [position for position, (_, kind, _) in enumerate(toy.objects) if toy.method_table(kind) == table]
        assert heap.instances(type_index).tolist() == mine
        assert heap.instances(type_index, 2).tolist() == mine[:2]
        assert heap.type_counts[type_index] == len(mine)
        assert heap.type_bytes[type_index] == sum(toy.size_of(position) for position in mine)
        assert heap.type_unaligned_bytes[type_index] == sum(toy.objects[p][1].size(toy.objects[p][2]) for p in mine)
    assert heap.method_tables[heap.free_type_index] == toy.method_table(FREE)


def test_scan_finds_words_that_point_into_objects(tmp_path: Path) -> None:
    toy = ToyHeap()
    array, free, plain = toy.add(ARRAY, 4), toy.add(FREE, 40), toy.add(PLAIN)
    toy.put(array + 16, plain + 9)
    toy.put(array + 24, free)
    toy.put(array + 32, toy.end)
    image = toy.write(tmp_path / "core")
    slots, indices = toy.walk(image).scan_words(image, array + 9, array + 48)
    assert slots.tolist() == [array + 16]
    assert indices.tolist() == [2]


def test_many_spans_and_one_far_away(tmp_path: Path) -> None:
    """Addresses are found in steps of the address space; a segment at the other end makes them wide, with hundreds of spans in one."""
    toy = ToyHeap().filled(2000)
    far = 0x7FFF_0000_0000
    path = tmp_path / "core"
    edges = [address for address, _, _ in toy.objects[::5]] + [toy.end]
    ranges = [*pairwise(edges), (far, far + 24)]
    image = toy.write(path).with_bytes(far, pack("<QQQ", toy.method_table(PLAIN), 0, 0))
    heap = Heap.walk(image, LAYOUT, ranges, [], toy.method_table(FREE))
    addresses = [address for address, _, _ in toy.objects] + [far]
    assert heap.addresses().tolist() == addresses
    assert heap.indices_of(heap.addresses()).tolist() == list(range(len(addresses)))
    assert heap.indices_containing(heap.addresses() + heap.sizes() - np.uint64(1)).tolist() == list(range(len(addresses)))
    assert heap.index_of(far - 24) is None
    assert heap.index_of(far + 24) is None
    assert heap.index_containing(far + 24) is None
    assert heap.index_containing(toy.end) is None
    assert heap.index_containing(HEAP_AT - 1) is None
