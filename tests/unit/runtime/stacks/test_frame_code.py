"""From an instruction to the piece of its method that holds it."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import LimitExceeded
from heaphound.layouts.load import layout_file
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocation
from heaphound.runtime.code_ranges import CodeSection
from heaphound.runtime.stacks.frame_code import FrameCodes
from tests.unit.runtime.written_memory import WrittenImage, written_memory

HEAP, HEADER, INFOS, FRAGMENTS = 0x7F2200000000, 0x99000, 0xA0000, 50_000
START = HEAP + 0x100


class CountingImage(WrittenImage):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        return super().read(address, size)


def codes(count: int) -> tuple[CountingImage, FrameCodes]:
    """A method whose body and funclets take 16 bytes each."""
    image, (_, memory) = CountingImage(), written_memory()
    memory = type(memory)(image)  # type: ignore[arg-type]  # the methods that Memory calls are there
    layout = layout_file("8.0.0", "x64", None).layout
    image.words(START - 8, HEADER)
    places = sorted((layout.offset("RealCodeHeader", name), name) for name in ("DebugInfo", "GCInfo", "NumUnwindInfos", "UnwindInfos"))
    assert places[-1][1] == "UnwindInfos"
    rows = b"".join(pack("<III", 0x100 + 16 * index, 0x110 + 16 * index, 0x10 + index) for index in range(FRAGMENTS))
    image.write(HEADER, bytes(places[-1][0]) + rows)
    image.write(HEADER + layout.offset("RealCodeHeader", "NumUnwindInfos"), pack("<I", count))
    section = CodeSection(HEAP, HEAP + (1 << 24), "jit", 0x2000)
    locator: Any = SimpleNamespace(
        tables=memory,
        section_at=lambda _address: section,
        locate=lambda address: CodeLocation(address, "jit", START, None),
    )
    runtime: Any = SimpleNamespace(layout=layout, core=SimpleNamespace(machine="x64"))
    return image, FrameCodes(runtime, locator)


@pytest.mark.parametrize("index", [0, 1, 2, 777, FRAGMENTS - 2, FRAGMENTS - 1])
def test_the_fragment_is_found_by_halving(index: int) -> None:
    """Each address of a hostile stack may lie in another fragment of one method that claims as many as there can be."""
    image, found = codes(FRAGMENTS)
    code = found.find(START + 16 * index + 5)
    assert code is not None
    assert (code.fragment_start, code.unwind_info, code.is_funclet) == (START + 16 * index, HEAP + 0x10 + index, index > 0)
    assert image.reads < 40


def test_the_number_of_fragments_is_bounded() -> None:
    for count in (0, LIMITS.code_fragments + 1):
        with pytest.raises(LimitExceeded, match="code fragments"):
            codes(count)[1].find(START)
