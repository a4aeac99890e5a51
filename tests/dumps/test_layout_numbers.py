"""Each number of a layout file is asked for by a self-check, or is listed with the reason why not; changed ones are noticed."""

from fnmatch import fnmatchcase

import pytest
from tools.mutate_layout import Mutation, Number, numbers
from tools.unguarded_numbers import UNGUARDED

from heaphound.dump.core import open_core
from tests.lab.dumps import make_dump, zoo
from tests.lab.runtimes import VERSIONS

PATTERNS = [pattern for patterns in UNGUARDED.values() for pattern in patterns]
NOTICED = [
    "EETypeHashTable.Buckets",
    "EETypeHashTable.Count",
    "EEClass.MethodDescChunk",
    "MethodDescChunk.Next",
    "LoaderHeap.FirstBlock",
    "LoaderHeapBlock.VirtualSize",
    "LoaderAllocator.HighFrequencyHeap",
    "LoaderAllocator.LowFrequencyHeap",
    "ECHash.MethodDesc",
    "HashMap.Buckets",
    "ReadyToRunInfo.EntryPointToMethodDescMap",
    "ReadyToRunInfo.RuntimeFunctions",
    "RealCodeHeader.GCInfo",
]


@pytest.fixture(scope="module")
def mutations() -> list[Mutation]:
    return [Mutation(open_core(make_dump(zoo(version)).path)) for version in VERSIONS]


def listed(number: Number) -> bool:
    return any(fnmatchcase(str(number), pattern) for pattern in PATTERNS)


def test_a_number_that_no_check_asks_for_is_listed(mutations: list[Mutation]) -> None:
    missing = {
        f"{mutation.source.layout.version} {number}" for mutation in mutations for number in mutation.not_asked() if not listed(number)
    }
    assert missing == set()


def test_an_entry_that_is_not_needed_is_gone(mutations: list[Mutation]) -> None:
    left = [str(number) for mutation in mutations for number in mutation.not_asked()]
    assert [pattern for pattern in PATTERNS if not any(fnmatchcase(name, pattern) for name in left)] == []


def test_a_changed_number_is_noticed(mutations: list[Mutation]) -> None:
    for mutation in mutations:
        known = {str(number): number for number in numbers(mutation.source)}
        unseen = [name for name in NOTICED if name in known and "+8" in mutation.unseen(known[name])]
        assert unseen == [], mutation.source.layout.version
