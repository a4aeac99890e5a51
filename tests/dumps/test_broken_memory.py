"""Real dumps with words overwritten at random: whatever is asked of them ends, and ends with an answer or one of the package's errors."""

import random
from dataclasses import replace

import pytest

from heaphound.dump.core import open_core
from heaphound.dump.memory import Memory
from heaphound.errors import HeaphoundError, Malformed, Unreadable
from heaphound.runtime.find import find_runtime
from heaphound.runtime.heap import read_heap
from heaphound.runtime.heap_walk import walk_heap
from heaphound.runtime.load_contexts import read_load_contexts
from heaphound.runtime.modules import read_module_list
from heaphound.runtime.objects import Objects
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.typesystem import TypeSystem
from tests.lab.dumps import Recipe, make_dump

RUNTIMES = ["6.0.6", "8.0.4", "9.0.11", "10.0.11"]
BROKEN_PER_MILLION = [200, 5_000, 60_000]
LARGEST_BROKEN_READ = 1 << 16  # images are read whole by the megabyte; their bytes have tests of their own


class BrokenImage:
    """An address space in which some words read as something else, the same each time: null, all ones, small, random, or themselves."""

    def __init__(self, image: object, seed: int, per_million: int) -> None:
        self._image = image
        self._seed = seed
        self._per_million = per_million
        self.readable_bytes = image.readable_bytes  # type: ignore[attr-defined]  # an Image

    def _word(self, address: int) -> bytes | None:
        chance = random.Random(self._seed << 64 | address)
        if chance.randrange(1_000_000) >= self._per_million:
            return None
        small, wild = chance.randrange(1 << 16), chance.getrandbits(64)
        return chance.choice([0, (1 << 64) - 1, small, wild, address]).to_bytes(8, "little")

    def read(self, address: int, size: int) -> bytes:
        data: bytes = self._image.read(address, size)  # type: ignore[attr-defined]  # an Image
        if size > LARGEST_BROKEN_READ:
            return data
        first = address & ~7
        whole = bytearray(address - first) + bytearray(data) + bytearray(8)
        for at in range(first, address + size, 8):
            word = self._word(at)
            if word is not None:
                whole[at - first : at - first + 8] = word
        return bytes(whole[address - first : address - first + size])

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


@pytest.fixture(scope="module", params=RUNTIMES)
def whole(request: pytest.FixtureRequest) -> tuple[Runtime, list[int]]:
    runtime = find_runtime(open_core(make_dump(Recipe("Shapes", request.param)).path))
    free = runtime.global_value("FreeObjectMethodTable")
    heap = walk_heap(runtime, read_heap(runtime))
    return runtime, [int(address) for address in heap.addresses() if runtime.memory.u64(int(address)) != free]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("per_million", BROKEN_PER_MILLION)
def test_objects_and_types_of_broken_memory(whole: tuple[Runtime, list[int]], per_million: int, seed: int) -> None:
    runtime, addresses = whole
    broken = replace(runtime, memory=Memory(BrokenImage(runtime.core.image, seed, per_million)))  # type: ignore[arg-type]  # as Memory calls it
    types = TypeSystem(broken, read_module_list(runtime).modules)
    objects = Objects(broken, types)
    answers = {"read": 0, "refused": 0}
    for address in random.Random(seed).sample(addresses, 100):
        try:
            objects.read(address, limit=20)
            answers["read"] += 1
        except (Unreadable, Malformed):
            answers["refused"] += 1
        for offset in range(8, 48, 8):
            try:
                objects.edge_name(address, offset)
            except (Unreadable, Malformed):
                break
    assert answers["read"] > 0
    assert answers["refused"] > 0 or per_million < 60_000
    assert all(found.name for found in types.types())
    assert read_load_contexts(objects.values, types.modules)


@pytest.mark.parametrize("seed", range(8))
def test_the_list_of_modules_of_broken_memory(whole: tuple[Runtime, list[int]], seed: int) -> None:
    runtime, _ = whole
    broken = replace(runtime, memory=Memory(BrokenImage(runtime.core.image, seed, 20_000)))  # type: ignore[arg-type]  # as Memory calls it
    try:
        listed = read_module_list(broken)
    except HeaphoundError:
        return  # the list itself is broken, and says so
    assert len(listed.modules) + len(listed.gaps) <= len(read_module_list(runtime).modules)
    for module in listed.modules:
        assert module.name
        assert (module.metadata is None) == (module.metadata_missing is not None)
