"""Stack traces of exception objects, in both forms, and counts that make no sense; vtables by their place in the runtime's table."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.dump.elf_image import PT_GNU_RELRO, PT_LOAD, ElfHeaders, ProgramHeader
from heaphound.errors import LimitExceeded
from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.stacks.frame_types import frame_types
from heaphound.runtime.stacks.thrown import ThrownFrame, read_thrown_frames
from heaphound.runtime.vtables import vtable_addresses
from tests.unit.runtime.written_memory import WrittenImage, written_memory

LAYOUT = layout_file("9.0.0", "x64", None).layout
EXCEPTION, ARRAY, OUTER, BYTES_TABLE, OBJECTS_TABLE = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
ELEMENTS = [(0x7F00, 0x7FFC, 0x8000, 0), (0x7F10, 0x7FFD, 0x8100, 2)]


def thrown(count: int = 2, length: int = 80, in_objects: bool = False) -> tuple[WrittenImage, Any]:
    image, memory = written_memory()
    image.words(EXCEPTION, *[0] * 16)
    image.words(EXCEPTION + LAYOUT.offset("Exception", "_stackTrace"), OUTER if in_objects else ARRAY)
    image.write(ARRAY, pack("<QQQQ", BYTES_TABLE, length, count, 0) + b"".join(pack("<QQQQ", *element) for element in ELEMENTS))
    image.words(OUTER, OBJECTS_TABLE, 1, ARRAY)
    image.words(BYTES_TABLE, 0x80000001, 0)
    image.words(OBJECTS_TABLE, 0x80000008, 0)
    return image, memory


@pytest.mark.parametrize("in_objects", [False, True])
def test_frames_of_both_forms(in_objects: bool) -> None:
    _, memory = thrown(in_objects=in_objects)
    assert read_thrown_frames(memory, LAYOUT, EXCEPTION) == [
        ThrownFrame(0x7F00, 0x7FFC, 0x8000, False),
        ThrownFrame(0x7F10, 0x7FFD, 0x8100, True),
    ]


def test_not_thrown() -> None:
    image, memory = thrown()
    image.words(EXCEPTION + LAYOUT.offset("Exception", "_stackTrace"), 0)
    assert read_thrown_frames(memory, LAYOUT, EXCEPTION) == []
    image.words(EXCEPTION + LAYOUT.offset("Exception", "_stackTrace"), OUTER)
    image.words(OUTER + 16, 0)
    assert read_thrown_frames(memory, LAYOUT, EXCEPTION) == []


@pytest.mark.parametrize(("count", "length"), [(3, 80), (1 << 31, 1 << 31), (2, 79)])
def test_counts_that_do_not_fit(count: int, length: int) -> None:
    _, memory = thrown(count, length)
    with pytest.raises(LimitExceeded, match="claims"):
        read_thrown_frames(memory, LAYOUT, EXCEPTION)


def module(relro: bool = True) -> Any:
    segments = [ProgramHeader(PT_LOAD, 5, 0, 0, 0x9000, 0x9000, 4096)]
    if relro:
        segments.append(ProgramHeader(PT_GNU_RELRO, 4, 0x6000, 0x6000, 0x1000, 0x1000, 1))
    return SimpleNamespace(headers=ElfHeaders(3, 62, tuple(segments)), bias=0x7F0000000000)


def table(variables: int, layout: Layout) -> list[int]:
    last = max(value for name, value in layout.constants.items() if name.startswith("VTableIndex."))
    found = [0x7F0000008000 + 8 * index for index in range(variables)]
    found[6] = 0x7F0000006008  # one variable lies in read-only memory too
    return found + [0x7F0000006100 + 8 * index for index in range(last + 10)]


@pytest.mark.parametrize("variables", [95, 96])
def test_vtables_wherever_they_begin(variables: int) -> None:
    layout = layout_file("8.0.0", "x64", None).layout
    found = vtable_addresses(module(), table(variables, layout), layout)
    assert found["InlinedCallFrameVTable"] == 0x7F0000006100 + 8 * layout.constant("VTableIndex.InlinedCallFrame")
    classes = frame_types(layout.with_globals(found, "layout file"))
    assert len(classes) == len(found) == 25
    assert classes[found["StubDispatchFrameVTable"]] == "StubDispatchFrame"


def test_without_headers_or_vtables_there_are_none() -> None:
    layout = layout_file("8.0.0", "x64", None).layout
    assert vtable_addresses(module(relro=False), table(96, layout), layout) == {}
    assert vtable_addresses(SimpleNamespace(headers=None), table(96, layout), layout) == {}  # type: ignore[arg-type]
    assert vtable_addresses(module(), [0x7F0000008000] * 150, layout) == {}


def test_later_runtimes_number_their_frames() -> None:
    classes = frame_types(layout_file("10.0.0", "x64", None).layout)
    assert (classes[1], classes[5]) == ("InlinedCallFrame", "SoftwareExceptionFrame")
