"""The handle table of a toy process: kinds, dependents, several tables, and what is broken."""

import pytest

from heaphound.errors import LayoutError, Malformed
from heaphound.runtime.handles import Handle, read_handle_table, read_handles
from tests.unit.runtime.toy_process import ToyProcess

WEAK, STRONG, DEPENDENT, DATA = 0, 2, 6, 11


def table_with(toy: ToyProcess, blocks: list[tuple[int, int, list[int]]]) -> tuple[int, int]:
    table = toy.allocate(256)
    segment = toy.handle_segment(table, blocks)
    toy.fill(table, "HandleTable", SegmentList=segment)
    return table, segment


def test_handles_of_every_block_in_use() -> None:
    toy = ToyProcess()
    table, segment = table_with(toy, [(STRONG, 0xFF, [0x100, 0, 0x300]), (WEAK, 0xFF, [0x400])])
    toy.handle_tables(table)
    values = segment + toy.layout.offset("TableSegment", "Values")
    assert read_handles(toy.runtime()) == [
        Handle(values, "Strong", 0x100, None),
        Handle(values + 16, "Strong", 0x300, None),
        Handle(values + 512, "WeakShort", 0x400, None),
    ]


def test_a_dependent_handle_has_its_secondary_and_the_data_block_is_no_handle() -> None:
    toy = ToyProcess()
    table, _ = table_with(toy, [(DEPENDENT, 1, [0x100, 0x200, 0]), (DATA, 0xFF, [0x900, 0, 0x700])])
    toy.handle_tables(table)
    runtime = toy.runtime()
    assert [(handle.object, handle.secondary) for handle in read_handles(runtime)] == [(0x100, 0x900), (0x200, None)]
    found = read_handle_table(runtime)
    sources, targets = found.dependent_pairs()
    assert (sources.tolist(), targets.tolist()) == ([0x100], [0x900])
    assert found.of_kind("Strong").tolist() == [False, False]
    assert found.of_kind("no such kind").tolist() == [False, False]


def test_dependent_handles_without_a_block_of_secondaries_are_a_gap() -> None:
    toy = ToyProcess()
    table, segment = table_with(toy, [(STRONG, 0xFF, [0x300]), (DEPENDENT, 0xFF, [0x100]), (DEPENDENT, 0xFF, [])])
    toy.handle_tables(table)
    found = read_handle_table(toy.runtime())
    assert [(handle.object, handle.secondary) for handle in found.rows()] == [(0x300, None), (0x100, None)]
    assert [gap.address for gap in found.gaps] == [segment + toy.layout.offset("TableSegment", "Values") + 512]


def test_segments_of_a_table_are_chained() -> None:
    toy = ToyProcess()
    table, first = table_with(toy, [(STRONG, 0xFF, [0x100])])
    toy.fill(first, "TableSegment", NextSegment=toy.handle_segment(table, [(STRONG, 0xFF, [0x200])]))
    toy.handle_tables(table)
    assert [handle.object for handle in read_handles(toy.runtime())] == [0x100, 0x200]


def test_the_server_gc_has_more_tables_than_heaps() -> None:
    toy = ToyProcess(server=True, heaps=1)
    tables = [table_with(toy, [(STRONG, 0xFF, [0x100 * number])])[0] for number in (1, 2, 3)]
    toy.handle_tables(*tables)
    assert [handle.object for handle in read_handles(toy.runtime())] == [0x100, 0x200, 0x300]


def test_the_workstation_gc_has_one_table_a_bucket() -> None:
    toy = ToyProcess()
    tables = [table_with(toy, [(STRONG, 0xFF, [0x100 * number])])[0] for number in (1, 2)]
    toy.handle_tables(*tables)
    assert [handle.object for handle in read_handles(toy.runtime())] == [0x100]


def test_a_segment_of_another_table_fails_the_self_check() -> None:
    toy = ToyProcess()
    table, segment = table_with(toy, [(STRONG, 0xFF, [0x100])])
    toy.fill(segment, "TableSegment", HandleTable=table + 8)
    toy.handle_tables(table)
    with pytest.raises(LayoutError, match="self-check HandleTable"):
        read_handles(toy.runtime())


def test_a_loop_of_segments_is_malformed() -> None:
    toy = ToyProcess()
    table, segment = table_with(toy, [(STRONG, 0xFF, [0x100])])
    toy.fill(segment, "TableSegment", NextSegment=segment)
    toy.handle_tables(table)
    with pytest.raises(Malformed, match="loop"):
        read_handles(toy.runtime())


def test_a_segment_that_is_not_dumped_is_a_gap() -> None:
    toy = ToyProcess()
    table, segment = table_with(toy, [(STRONG, 0xFF, [0x100])])
    toy.fill(segment, "TableSegment", NextSegment=0x600000000000)
    toy.handle_tables(table)
    found = read_handle_table(toy.runtime())
    assert found.objects.tolist() == [0x100]
    assert [gap.address for gap in found.gaps] == [0x600000000000]


def test_a_process_without_handles_has_none() -> None:
    toy = ToyProcess()
    toy.handle_tables()
    toy.handle_map = 0
    assert read_handles(toy.runtime()) == []
