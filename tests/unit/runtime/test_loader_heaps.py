"""Loader heaps of a toy load context, and lists that no loader wrote."""

from types import SimpleNamespace
from typing import cast

import pytest

from heaphound.errors import LayoutError
from heaphound.runtime import loader_heaps
from heaphound.runtime.loader_heaps import LoaderHeaps, read_loader_heaps
from heaphound.runtime.modules import Module
from heaphound.runtime.runtime import Runtime
from tests.unit.runtime.toy_process import ToyProcess

IMAGE, IMAGE_END = 0x7F1000000000, 0x7F1000800000
VTABLE = IMAGE + 0x5000


class ToyLoader:
    """One LoaderAllocator whose heaps a test fills in."""

    def __init__(self, version: str = "9.0") -> None:
        self.toy = ToyProcess(version)
        self.allocator = self.toy.allocate(4096)
        self.manager = self.toy.allocate(2048)
        self.module = self.toy.allocate(2048)

    def heap(self, *blocks: tuple[int, int], vtable: int = VTABLE) -> int:
        """A heap with these (address, size) blocks in list order."""
        following = 0
        for address, size in reversed(blocks):
            following = self.toy.structure("LoaderHeapBlock", 32, Next=following, VirtualAddress=address, VirtualSize=size)
        heap = self.toy.structure("LoaderHeap", 128, FirstBlock=following)
        self.toy.put(heap, vtable)
        return heap

    def owns(self, **heaps: int) -> None:
        """Let the allocator point to these heaps."""
        self.toy.fill(self.allocator, "LoaderAllocator", **heaps)

    def stubs(self, **heaps: int) -> None:
        """Let the allocator's manager of virtual-call stubs point to these heaps."""
        self.toy.put(self.manager, VTABLE)
        self.toy.fill(self.manager, "VirtualCallStubManager", **heaps)
        self.owns(VirtualCallStubManager=self.manager)

    def read(self, *, allocator: int | None = None) -> LoaderHeaps:
        """What is found."""
        image = SimpleNamespace(base=IMAGE, end=IMAGE_END, name="libcoreclr.so")
        runtime = cast(Runtime, SimpleNamespace(memory=self.toy.memory, layout=self.toy.layout, module=image))
        at = self.allocator if allocator is None else allocator
        return read_loader_heaps(runtime, [cast(Module, SimpleNamespace(address=self.module, loader_allocator=at, collectible=False))])


def test_blocks_of_each_heap() -> None:
    loader = ToyLoader()
    loader.owns(HighFrequencyHeap=loader.heap((0x20000, 0x10000), (0x40000, 0x3000)), StubHeap=loader.heap((0x90000, 0x1000)))
    loader.stubs(IndirectionCellHeap=loader.heap((0xA0000, 0x6000)))
    found = loader.read()
    assert [(heap.kind, heap.blocks) for heap in found.heaps] == [
        ("HighFrequencyHeap", ((0x20000, 0x30000), (0x40000, 0x43000))),
        ("StubHeap", ((0x90000, 0x91000),)),
        ("IndirectionCellHeap", ((0xA0000, 0xA6000),)),
    ]
    assert found.heaps[0].reserved_bytes == 0x13000
    assert found.gaps == ()


def test_what_begins_with_no_vtable_is_no_manager_of_stubs() -> None:
    loader = ToyLoader()
    loader.stubs(IndirectionCellHeap=loader.heap((0xA0000, 0x6000)))
    loader.toy.put(loader.manager, 0x1234)
    found = loader.read()
    assert found.heaps == ()
    assert [(gap.kind, gap.address) for gap in found.gaps] == [("VirtualCallStubManager", loader.manager)]
    assert "begins with 0x1234, no vtable of libcoreclr.so" in found.gaps[0].reason


def test_a_heap_used_for_two_purposes_is_one_heap() -> None:
    loader = ToyLoader()
    heap = loader.heap((0x20000, 0x3000))
    loader.owns(LowFrequencyHeap=heap, HighFrequencyHeap=heap)
    assert [heap.kind for heap in loader.read().heaps] == ["LowFrequencyHeap"]


def test_a_heap_without_blocks_is_listed_empty() -> None:
    loader = ToyLoader()
    loader.owns(ExecutableHeap=loader.heap())
    assert [(heap.kind, heap.blocks) for heap in loader.read().heaps] == [("ExecutableHeap", ())]


@pytest.mark.parametrize(
    ("block", "vtable", "says"),
    [
        ((0x20001, 0x1000), VTABLE, "claims 4096 bytes at 0x20001"),
        ((0x20000, 0x1001), VTABLE, "claims 4097 bytes"),
        ((0x20000, 0), VTABLE, "claims 0 bytes"),
        ((0, 0x1000), VTABLE, "at 0x0"),
        ((0x20000, 1 << 50), VTABLE, f"claims {1 << 50} bytes"),
        ((0x20000, 0x1000), 0x1234, "no vtable of libcoreclr.so"),
    ],
)
def test_what_is_no_loader_heap_is_a_gap(block: tuple[int, int], vtable: int, says: str) -> None:
    loader = ToyLoader()
    loader.owns(StubHeap=loader.heap(block, vtable=vtable), LowFrequencyHeap=loader.heap((0x70000, 0x1000)))
    found = loader.read()
    assert [heap.kind for heap in found.heaps] == ["LowFrequencyHeap"]
    [gap] = found.gaps
    assert gap.kind == "StubHeap"
    assert says in gap.reason


def test_a_list_in_a_circle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_heaps, "LIMITS", SimpleNamespace(loader_heap_blocks=50, loader_heap_block_bytes=1 << 30))
    loader = ToyLoader()
    block = loader.toy.structure("LoaderHeapBlock", 32, VirtualAddress=0x20000, VirtualSize=0x1000)
    loader.toy.fill(block, "LoaderHeapBlock", Next=block)
    heap = loader.toy.structure("LoaderHeap", 128, FirstBlock=block)
    loader.toy.put(heap, VTABLE)
    loader.owns(StubHeap=heap)
    assert "runs in a circle" in loader.read().gaps[0].reason


def test_an_absent_allocator_is_a_gap_for_each_heap() -> None:
    found = ToyLoader().read(allocator=0x6660000)
    assert found.heaps == ()
    assert {gap.kind for gap in found.gaps} >= {"HighFrequencyHeap", "VirtualCallStubManager"}


def test_a_layout_without_the_heaps_says_so() -> None:
    toy = ToyLoader()
    toy.toy.layout = type(toy.toy.layout)("9.0", {}, {}, {}, ())
    with pytest.raises(LayoutError, match="does not lead to the heaps"):
        toy.read()
