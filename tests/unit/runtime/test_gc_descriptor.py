"""The GC's own descriptor (11.0 on): found through the runtime's, laid over GcDacVars, and used instead of it."""

import json
import struct
from dataclasses import replace

import pytest

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.layouts.descriptor import HEADER, MAGIC, Descriptor, parse_descriptor
from heaphound.layouts.load import with_descriptor
from heaphound.layouts.schema import read_types
from heaphound.runtime.gc_variables import described_gc_variables
from heaphound.runtime.heap import read_heap
from heaphound.runtime.runtime import Runtime, with_parts
from tests.unit.runtime.toy_process import ALLOCATION_START, GENERATION_BYTES, HEAP_FIELDS, START_SEGMENT, ToyProcess
from tests.unit.runtime.written_memory import WrittenImage

A, B, C = (0x10000 * number for number in range(1, 4))
THEIR_NAMES = {
    "GenerationTable": "GCHeapGenerationTable",
    "EphemeralHeapSegment": "GCHeapEphemeralHeapSegment",
    "AllocAllocated": "GCHeapAllocAllocated",
    "FinalizeQueue": "GCHeapFinalizeQueue",
    "StructuresInvalidCount": "StructureInvalidCount",
    "CurrentGCState": "CurrentGCState",
    "HeapCount": "NumHeaps",
    "Heaps": "Heaps",
}


def toy_of(*, server: bool, regions: bool) -> ToyProcess:
    toy = ToyProcess("11.0", server=server, regions=regions)
    toy.segment(2, A + 8, A + 0x100)
    toy.segment(3, B + 8, B + 0x300)
    toy.segment(0 if regions else 2, C + 40, C + 0x500, ephemeral=True)
    toy.heaps[0].starts = {0: C + 0x300, 1: C + 0x100, 2: A + 8}
    return toy


def described_by(runtime: Runtime, *, server: bool, regions: bool) -> Descriptor:
    """What such a GC would say of itself, by the names of datadescriptor.inc."""
    generation = {"!": GENERATION_BYTES, "AllocationContext": 0, "StartSegment": START_SEGMENT}
    types = {"Generation": generation if regions else {**generation, "AllocationStart": ALLOCATION_START}}
    if server:
        types["GCHeap"] = dict(HEAP_FIELDS)
    addresses = {theirs: runtime.gc.variable(runtime.memory, runtime.layout, ours) for ours, theirs in THEIR_NAMES.items()}
    texts = {"GCIdentifiers": f"{'server' if server else 'workstation'}, {'regions' if regions else 'segments'}, background, dynamic_heap"}
    return Descriptor(read_types(types, "descriptor"), {"TotalGenerationCount": 5}, {k: v for k, v in addresses.items() if v}, texts, {})


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize("regions", [False, True])
def test_the_heap_is_read_by_what_the_gc_says_of_itself(server: bool, regions: bool) -> None:
    toy = toy_of(server=server, regions=regions)
    runtime = toy.runtime()
    expected = read_heap(runtime)
    descriptor = described_by(runtime, server=server, regions=regions)
    layout = with_descriptor(runtime.layout, descriptor)
    gc = described_gc_variables(layout, descriptor, runtime.gc)
    for name in THEIR_NAMES:  # nothing of it is read any more
        toy.put(runtime.gc.address + runtime.layout.offset("GcDacVars", name), 0x10)
    found = read_heap(replace(runtime, layout=layout, gc=gc))
    assert found.segments == expected.segments
    assert (found.heaps, found.server, found.regions) == (expected.heaps, server, regions)
    assert found.collecting is False


def test_without_a_descriptor_of_the_gc_its_variables_serve() -> None:
    runtime = toy_of(server=False, regions=True).runtime()
    assert described_gc_variables(runtime.layout, Descriptor({}, {}, {}, {}, {}), runtime.gc) is runtime.gc


def test_a_gc_that_calls_itself_something_else_is_refused() -> None:
    runtime = toy_of(server=False, regions=True).runtime()
    descriptor = described_by(runtime, server=False, regions=True)
    lying = replace(descriptor, texts={"GCIdentifiers": "workstation, segments"})
    with pytest.raises(LayoutError, match="GCIdentifiers"):
        described_gc_variables(with_descriptor(runtime.layout, lying), lying, runtime.gc)


def written(variable: int, *, magic: bytes = MAGIC) -> Memory:
    """A variable at 0x100 that holds `variable`, and a descriptor of one type at 0x1000."""
    image = WrittenImage()
    text = json.dumps({"types": {"CFinalize": {"FillPointers": 24}}, "globals": {"TotalGenerationCount": 5}}).encode()
    image.write(0x100, struct.pack("<Q", variable))
    image.write(
        0x1000, HEADER.pack(magic, 1, len(text), 0x1100, 1, 0, 0x1080).ljust(0x80, b"\0") + struct.pack("<Q", 0).ljust(0x80, b"\0") + text
    )
    return Memory(image)  # type: ignore[arg-type]  # the methods that Memory calls are there


MAIN = {"types": {"CFinalize": {"FillPointers": 8}, "Thread": {"Id": 16}}, "subDescriptors": {"GC": [[1], "pointer"]}}


def main_descriptor() -> Descriptor:
    return parse_descriptor(json.dumps(MAIN).encode(), (0, 0x100))


def test_a_part_is_laid_over_the_whole() -> None:
    found = with_parts(written(0x1000), main_descriptor())
    assert found.parts == {"GC": 0x100}
    assert found.types["CFinalize"].fields["FillPointers"].offset == 24
    assert found.types["Thread"].fields["Id"].offset == 16
    assert found.literals == {"TotalGenerationCount": 5}


@pytest.mark.parametrize("variable", [0, 0x7000])
def test_a_part_that_is_not_there_is_left_out(variable: int) -> None:
    assert with_parts(written(variable), main_descriptor()) == main_descriptor()


def test_a_part_that_is_no_descriptor_is_malformed() -> None:
    with pytest.raises(Malformed, match="magic"):
        with_parts(written(0x1000, magic=b"DNCCDAC!"), main_descriptor())


def test_a_variable_that_the_dump_lacks_leaves_the_whole_as_it_is() -> None:
    lacking = parse_descriptor(json.dumps(MAIN).encode(), (0, 0x9000))
    assert with_parts(written(0x1000), lacking) == lacking


def test_parts_that_are_no_object_are_refused() -> None:
    with pytest.raises(Malformed, match="parts"):
        parse_descriptor(b'{"subDescriptors": [1]}', ())


def test_the_toy_raises_for_what_it_lacks() -> None:
    with pytest.raises(Unreadable):
        written(0).pointer(0x9000)
