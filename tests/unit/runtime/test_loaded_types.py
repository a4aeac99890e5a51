"""The class hash tables of modules, in all forms, whole and broken."""

from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.layouts.load import layout_file
from heaphound.runtime.loaded_types import LoadedTypes
from heaphound.runtime.lookup_maps import LookupMaps
from tests.unit.runtime.written_memory import WrittenImage, written_memory

MODULE, TABLE, BUCKETS, ENTRIES = 0x100000, 0x200000, 0x300000, 0x400000
OLD, NEW = ["6.0"], ["7.0", "8.0", "9.0", "10.0"]


class Hashed:
    """A module with an empty type map and a hash table of these chains of handles."""

    def __init__(self, version: str, chains: list[list[int]]) -> None:
        self.layout = layout_file(f"{version}.0", "x64", None).layout
        self.image, memory = written_memory()
        self.counted, self.sentinel = version in OLD, version not in (*OLD, "7.0")
        self.special_slots = 0 if self.counted else 3 if self.sentinel else 2
        self.image.write(MODULE, bytes(0x1000))
        self.image.write(TABLE, bytes(0x100))
        self.image.write(BUCKETS, bytes(8 * (len(chains) + self.special_slots)))
        self.image.words(MODULE + self.layout.offset("Module", "AvailableTypeParams"), TABLE)
        self.field("Module", MODULE)
        self.field("Buckets", BUCKETS)
        self.field("Count", sum(map(len, chains)), 4)
        self.write_chains(self.image, chains)
        self.loaded = LoadedTypes(memory, self.layout, LookupMaps(memory, self.layout))

    def field(self, name: str, value: int, size: int = 8) -> None:
        self.image.write(TABLE + self.layout.offset("EETypeHashTable", name), value.to_bytes(size, "little"))

    def write_chains(self, image: WrittenImage, chains: list[list[int]]) -> None:
        if self.counted:
            self.field("BucketCount", len(chains), 4)
        else:
            image.words(BUCKETS, len(chains), 0)
        at = ENTRIES
        for bucket, chain in enumerate(chains):
            following = 0xB + bucket * 64 if self.sentinel else 0  # the odd end sentinel of since 8
            for handle in reversed(chain):
                following, at = image.words(at, handle, following, 0x1234), at + 0x100
            image.words(BUCKETS + 8 * (bucket + self.special_slots), following)

    def types(self) -> set[int]:
        module: Any = SimpleNamespace(address=MODULE, name="Zoo")
        return self.loaded.of_modules([module])


@pytest.mark.parametrize("version", OLD + NEW)
def test_every_method_table_and_no_type_desc(version: str) -> None:
    found = Hashed(version, [[0x5000, 0x5100], [], [0x5202, 0x5301]])
    assert found.types() == {0x5000, 0x5100, 0x5300}  # 0x5202 is a TypeDesc; bit 0 of 0x5301 marked hot entries once
    assert found.loaded.gaps == []


@pytest.mark.parametrize("version", OLD + NEW)
def test_a_chain_that_is_a_loop_becomes_a_gap(version: str) -> None:
    found = Hashed(version, [[0x5000]])
    found.image.words(ENTRIES + found.layout.offset("EETypeHashTable", "VolatileEntryNextEntry"), ENTRIES)
    found.types()
    assert [(gap.module, "does not end" in gap.reason) for gap in found.loaded.gaps] == [("Zoo", True)]


@pytest.mark.parametrize("version", OLD + NEW)
def test_absurd_counts_become_a_gap(version: str) -> None:
    found = Hashed(version, [[0x5000]])
    found.field("Count", 0xFFFFFFF0, 4)
    assert found.types() == set()
    assert "claims 4294967280 entries" in found.loaded.gaps[0].reason


@pytest.mark.parametrize("version", NEW)
def test_bucket_arrays_that_lead_to_each_other_become_a_gap(version: str) -> None:
    found = Hashed(version, [[0x5000]])
    found.image.words(BUCKETS, 1, BUCKETS)
    found.types()
    assert found.loaded.gaps
    assert "does not end" in found.loaded.gaps[0].reason or "form a loop" in found.loaded.gaps[0].reason


@pytest.mark.parametrize("version", NEW)
def test_a_growing_table_is_read_in_both_arrays(version: str) -> None:
    found = Hashed(version, [[0x5000]])
    found.field("Count", 2, 4)
    end = [0x4B] if found.sentinel else []
    entry = found.image.words(0x500000, 0x5100, *(end or [0]))
    found.image.words(BUCKETS, 1, found.image.words(0x600000, 1, 0, *end, entry))
    assert found.types() == {0x5000, 0x5100}


def test_a_module_whose_structures_are_not_in_the_dump_becomes_a_gap() -> None:
    found = Hashed("9.0", [[0x5000]])
    module: Any = SimpleNamespace(address=0x999000, name="Gone")
    assert found.loaded.of_modules([module]) == set()
    assert {gap.module for gap in found.loaded.gaps} == {"Gone"}


@pytest.mark.parametrize("version", OLD + NEW)
def test_a_table_of_another_module_fails_the_self_check(version: str) -> None:
    found = Hashed(version, [[0x5000]])
    found.field("Module", MODULE + 8)
    assert found.types() == set()
    assert found.loaded.gaps[0].reason.startswith("self-check EETypeHashTable.Module")
