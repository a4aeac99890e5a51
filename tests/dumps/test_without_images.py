"""A dump without any assembly's image, as a kernel writes it: no metadata, and still every object is read, by tokens instead of names."""

import bisect
from dataclasses import replace

import pytest

from heaphound.dump.core import Core, open_core
from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable
from heaphound.runtime.find import find_runtime
from heaphound.runtime.heap import read_heap
from heaphound.runtime.heap_walk import walk_heap
from heaphound.runtime.objects import Objects
from heaphound.runtime.typesystem import TypeSystem
from tests.lab.dumps import Recipe, make_dump


class WithoutImages:
    """The core's address space without the mappings of assemblies."""

    def __init__(self, core: Core) -> None:
        self._image = core.image
        self._absent = sorted((file.start, file.end) for file in core.files if file.path.endswith(".dll"))
        self._starts = [start for start, _ in self._absent]
        self.readable_bytes = core.image.readable_bytes

    def read(self, address: int, size: int) -> bytes:
        index = bisect.bisect_right(self._starts, address + size - 1) - 1
        if index >= 0 and address < self._absent[index][1]:
            raise Unreadable(address, size)
        return self._image.read(address, size)

    def u8(self, address: int) -> int:
        return self.read(address, 1)[0]

    def u16(self, address: int) -> int:
        return int.from_bytes(self.read(address, 2), "little")

    def u32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def u64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")

    def i32(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little", signed=True)


@pytest.fixture(scope="module", params=["6.0.6", "8.0.4", "9.0.11", "10.0.11"])
def reader(request: pytest.FixtureRequest) -> tuple[Objects, list[int]]:
    core = open_core(make_dump(Recipe("Shapes", request.param)).path)
    whole = find_runtime(core)
    free = whole.global_value("FreeObjectMethodTable")
    heap = walk_heap(whole, read_heap(whole))
    chosen = [int(address) for address in heap.addresses() if whole.memory.u64(int(address)) != free]
    runtime = replace(whole, memory=Memory(WithoutImages(core)))  # type: ignore[arg-type]  # the methods that Memory calls are there
    return Objects(runtime, TypeSystem(runtime), method_name=lambda one: hex(one.code)), chosen


def test_every_object_is_read(reader: tuple[Objects, list[int]]) -> None:
    objects, addresses = reader
    results = [objects.read(address, limit=3) for address in addresses]
    assert len(results) > 500
    assert all(result.method_table for result in results)
    names = {result.type for result in results}
    assert {"System.String", "System.Object[]", "System.Byte[]", "System.Int32[]", "System.Char[]", "System.Int32"} <= names
    assert any(name.startswith("<type 0x02") and name.endswith(" of Shapes>") for name in names)


def test_what_needs_no_metadata_is_all_there(reader: tuple[Objects, list[int]]) -> None:
    objects, addresses = reader
    results = [objects.read(address, limit=3) for address in addresses]
    texts = {result.text for result in results if result.type == "System.String"}
    assert {"value 1", "pair", "outer", "q4"} - texts == {"value 1"}  # the first is no text of the program: the test would see it missing
    numbers = [result for result in results if result.type == "System.Int32"]
    assert {"7", "1"} <= {result.text for result in numbers}
    delegates = [result for result in results if result.delegate]
    assert delegates
    assert all(target.method.startswith("0x") for result in delegates for target in result.delegate or ())


def test_fields_keep_their_places_and_say_what_is_missing(reader: tuple[Objects, list[int]]) -> None:
    objects, addresses = reader
    seen = [field for address in addresses for field in objects.read(address, limit=1).fields]
    unnamed = [field for field in seen if field.declaring_type.startswith("<type 0x02")]
    assert len(unnamed) > 1000
    assert all(field.name.startswith("<field 0x04") for field in unnamed)
    assert {field.type for field in unnamed} == {"<unknown: no metadata>"}
    named = {(field.declaring_type, field.name) for field in seen} - {(field.declaring_type, field.name) for field in unnamed}
    assert ("Shapes.Derived", "Value") in named  # loaded out of a byte array: its metadata is no mapped file
    module = objects.values.system.modules[0]
    assert module.name == "System.Private.CoreLib"
    assert module.metadata_missing is not None
    assert "not in the dump" in module.metadata_missing
