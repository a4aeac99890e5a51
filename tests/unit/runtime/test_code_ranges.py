"""Code ranges out of the linked list of 6.0 and the map of 8.0 and later."""

from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import LimitExceeded, Unreadable
from heaphound.layouts.load import layout_file
from heaphound.runtime.code_ranges import code_ranges, find_code_section
from tests.unit.runtime.written_memory import WrittenImage, written_memory

GLOBAL = 0x1000
HEAP_NODE, MODULE = 0x20000, 0x30000
JIT = (0x7F2200010000, 0x7F2200090000)
IMAGE = (0x7F22AA000000, 0x7F22AB000000)


def runtime(version: str, image_memory: tuple[WrittenImage, object], name: str) -> Any:
    layout = layout_file(version, "x64", None).layout.with_globals({name: GLOBAL}, "layout file")
    return SimpleNamespace(memory=image_memory[1], layout=layout)


def heap_node(image: WrittenImage) -> None:
    image.words(HEAP_NODE, 0, 0x777, JIT[0] + 0x100, JIT[0] + 0x500, JIT[0], 0x88000)


def test_the_list_of_6() -> None:
    written = written_memory()
    image = written[0]
    heap_node(image)
    image.words(GLOBAL, 0x2000)
    image.words(0x2000, *IMAGE, 0, 0x3000, 0, 4, MODULE)
    image.words(0x3000, *JIT, 0, 0, 0, 3, HEAP_NODE)
    jit, ready = code_ranges(runtime("6.0.0", written, "ExecutionManagerCodeRangeList")).sections
    assert (jit.kind, jit.start, jit.end, jit.heap, jit.map_base, jit.nibble_map) == ("jit", *JIT, HEAP_NODE, JIT[0], 0x88000)
    assert (jit.used_bytes, jit.collectible) == (0x400, True)
    assert (ready.kind, ready.size_bytes, ready.module, ready.collectible) == ("ready-to-run", IMAGE[1] - IMAGE[0], MODULE, False)


def test_a_list_that_loops() -> None:
    written = written_memory()
    written[0].words(GLOBAL, 0x2000)
    written[0].words(0x2000, *IMAGE, 0, 0x2000, 0, 4, MODULE)
    with pytest.raises(LimitExceeded, match="loops"):
        code_ranges(runtime("6.0.0", written, "ExecutionManagerCodeRangeList"))


def map_with(image: WrittenImage, entries: dict[int, int]) -> None:
    """The five levels above a few fragments: address in the range to fragment. The lowest bit of an entry marks collectible code."""
    image.write(GLOBAL, bytes(8 * 256))
    free = 0x100000
    for address, fragment in entries.items():
        level = GLOBAL
        for shift in (49, 41, 33, 25):
            slot = level + 8 * (address >> shift & 255)
            level = image.u64(slot) & ~1
            if not level:
                level, free = free, free + 0x1000
                image.write(level, bytes(8 * 256))
                image.words(slot, level | 1)
        image.words(level + 8 * (address >> 17 & 255), fragment | 1)


@pytest.mark.parametrize("version", ["8.0.0", "9.0.0", "10.0.0"])
def test_the_map(version: str) -> None:
    """Two fragments in one chain, one of them of a section that two entries lead to; a stub range, which has neither heap nor module."""
    written = written_memory()
    image = written[0]
    heap_node(image)
    image.words(0x4000, 0x4100, *JIT, 0x5000)
    image.words(0x4100, 0, JIT[1], JIT[1] + 0x10000, 0x5200)
    image.words(0x4200, 0, *IMAGE, 0x5100)
    image.words(0x4300, 0, *IMAGE, 0x5100)
    image.words(0x5000, *JIT, 2, 0, 0, HEAP_NODE, 0)
    image.words(0x5100, *IMAGE, 0, 0, MODULE, 0, 0)
    image.words(0x5200, JIT[1], JIT[1] + 0x10000, 5, 0, 0, 0, 0x999)
    map_with(image, {JIT[0]: 0x4000, IMAGE[0]: 0x4200, IMAGE[0] + 0x20000: 0x4300})
    sections = code_ranges(runtime(version, written, "ExecutionManagerCodeRangeMapAddress")).sections
    assert [(section.kind, section.start) for section in sections] == [("jit", JIT[0]), ("stubs", JIT[1]), ("ready-to-run", IMAGE[0])]
    assert [section.collectible for section in sections] == [False, True, False]


@pytest.mark.parametrize("version", ["8.0.0", "9.0.0", "10.0.0"])
def test_a_map_of_which_the_dump_has_one_way(version: str) -> None:
    """A small dump has the entries on the way to the code that its stacks run, and not those of other code."""
    written = written_memory()
    image = written[0]
    heap_node(image)
    image.words(0x4000, 0, *JIT, 0x5000)
    image.words(0x5000, *JIT, 2, 0, 0, HEAP_NODE, 0)
    map_with(image, {JIT[0]: 0x4000, IMAGE[0]: 0xDEAD_0000})
    of_map = runtime(version, written, "ExecutionManagerCodeRangeMapAddress")
    found = code_ranges(of_map)
    assert [section.start for section in found.sections] == [JIT[0]]
    assert len(found.gaps) == 1
    assert find_code_section(of_map, JIT[0] + 8) == found.sections[0]
    assert find_code_section(of_map, 0x7F00_0000_0000) is None
    with pytest.raises(Unreadable, match="not in the dump"):
        find_code_section(of_map, IMAGE[0])


def test_a_list_that_breaks_off() -> None:
    """The runtime looks from the first range on: behind the break nothing is known, before it everything."""
    written = written_memory()
    image = written[0]
    heap_node(image)
    image.words(GLOBAL, 0x3000)
    image.words(0x3000, *JIT, 0, 0xDEAD_0000, 0, 3, HEAP_NODE)
    of_list = runtime("6.0.0", written, "ExecutionManagerCodeRangeList")
    found = code_ranges(of_list)
    assert ([section.start for section in found.sections], len(found.gaps)) == ([JIT[0]], 2)
    assert find_code_section(of_list, JIT[0]) == found.sections[0]
    with pytest.raises(Unreadable, match="not in the dump"):
        find_code_section(of_list, IMAGE[0])
