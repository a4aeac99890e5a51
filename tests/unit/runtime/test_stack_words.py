"""Where the scan of a stack ends, on cores that are only described."""

from types import SimpleNamespace
from typing import Any

from heaphound.runtime.stack_words import StackEnds, stack_ends

READ_WRITE = 6


def core(segments: list[tuple[int, int]], threads: dict[int, int]) -> Any:
    """A core with these (start, end) segments and threads (id → stack pointer), none of which glibc has a record of."""
    found = [SimpleNamespace(os_id=os_id, registers={"rsp": pointer}, stack_pointer=pointer) for os_id, pointer in threads.items()]
    image = SimpleNamespace(segments=[(start, end - start, end - start, 0, READ_WRITE) for start, end in segments])
    return SimpleNamespace(image=image, threads=found)


def heap(*starts: int) -> Any:
    return SimpleNamespace(segments=[SimpleNamespace(committed_start=start) for start in starts])


def test_a_stack_ends_with_its_mapping() -> None:
    assert stack_ends(core([(0x10000, 0x20000)], {1: 0x18000}), heap(0x800000)) == {1: 0x20000}


def test_a_stack_ends_where_the_heap_behind_it_begins() -> None:
    """createdump writes neighbouring mappings of one kind as one segment."""
    assert stack_ends(core([(0x10000, 0x90000)], {1: 0x18000}), heap(0x8000, 0x20000, 0x50000)) == {1: 0x20000}


def test_a_heap_below_a_stack_does_not_end_it() -> None:
    assert stack_ends(core([(0x10000, 0x90000)], {1: 0x88000}), heap(0x10000)) == {1: 0x90000}


def test_a_thread_whose_stack_is_not_in_the_dump_has_no_end() -> None:
    assert stack_ends(core([(0x10000, 0x20000)], {1: 0x18000, 2: 0x70000}), heap()) == {1: 0x20000}


def test_a_thread_may_have_another_stack() -> None:
    """That which a signal's handler interrupted, for one, when the handler runs on a stack of its own."""
    ends = StackEnds(core([(0x10000, 0x20000), (0x70000, 0x90000)], {1: 0x18000}), heap(0x88000))
    wanted = {0x10000: 0x20000, 0x1FFF8: 0x20000, 0x20000: None, 0x70008: 0x88000, 0x88008: 0x90000, 0x90000: None}
    assert {address: ends.behind(1, address) for address in wanted} == wanted
