"""The GC's tables: followed by its own list, found by what they describe before 8.0, and lists that make no sense."""

from types import SimpleNamespace
from typing import cast

import pytest

from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.runtime import gc_memory
from heaphound.runtime.gc_memory import Bookkeeping, read_bookkeeping
from heaphound.runtime.heap import GCHeap
from heaphound.runtime.runtime import Runtime
from tests.unit.runtime.toy_process import BLOCK, BLOCK_BYTES, ToyProcess

INFO_BYTES = 64
LOWEST, HIGHEST = 0x6000000000, 0x7000000000
HEAP = cast(
    GCHeap,
    SimpleNamespace(heaps=(None,), segments=(SimpleNamespace(kind="Ephemeral", committed_start=LOWEST, reserved_end=HIGHEST),)),
)


def table(toy: ToyProcess, *, users: int = 1, size: int = 0x5000, following: int = 0, **fields: int) -> int:
    given = {"Size": size, "NextCardTable": following, "LowestAddress": LOWEST, "HighestAddress": HIGHEST} | fields
    address = toy.structure("CardTableInfo", 128, **given)
    toy.fill(address, "CardTableInfo", size=4, Recount=users)
    return address


def runtime_with(toy: ToyProcess, first: int) -> Runtime:
    gc = toy.structure("GcDacVars", 400, BookkeepingStart=toy.words(first), CardTableInfoSize=INFO_BYTES)
    return cast(Runtime, SimpleNamespace(memory=toy.memory, layout=toy.layout, gc=SimpleNamespace(address=gc)))


def test_the_list_of_tables_in_use() -> None:
    toy = ToyProcess()
    oldest = table(toy, size=0x1000)
    unused = table(toy, users=0, following=oldest + INFO_BYTES)
    current = table(toy, size=0x9000, following=unused + INFO_BYTES)
    assert read_bookkeeping(runtime_with(toy, current), HEAP) == [
        Bookkeeping(current, current + 0x9000, LOWEST, HIGHEST),
        Bookkeeping(oldest, oldest + 0x1000, LOWEST, HIGHEST),
    ]


@pytest.mark.parametrize("fields", [{"size": 0}, {"size": 1 << 63}, {"LowestAddress": HIGHEST}])
def test_a_description_that_makes_no_sense(fields: dict[str, int]) -> None:
    toy = ToyProcess()
    with pytest.raises(Malformed, match="claim"):
        read_bookkeeping(runtime_with(toy, table(toy, **fields)), HEAP)


def test_a_list_in_a_circle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc_memory, "LIMITS", SimpleNamespace(gc_bookkeeping_tables=20))
    toy = ToyProcess()
    first = table(toy)
    toy.fill(first, "CardTableInfo", NextCardTable=first + INFO_BYTES)
    with pytest.raises(LimitExceeded, match="circle"):
        read_bookkeeping(runtime_with(toy, first), HEAP)


def old_runtime(toy: ToyProcess) -> Runtime:
    image = SimpleNamespace(segments=[(BLOCK, BLOCK_BYTES, BLOCK_BYTES, 0, 6)])
    core = SimpleNamespace(image=image, files=[], threads=[])
    return cast(Runtime, SimpleNamespace(memory=toy.memory, layout=toy.layout, core=core))


def test_before_8_a_page_that_begins_like_them() -> None:
    """Here in the middle of a segment of the dump, as behind a neighbouring mapping of equal access."""
    toy = ToyProcess("6.0")
    toy.next = BLOCK + 0x4000
    runtime = old_runtime(toy)
    found = table(toy, BrickTable=BLOCK + 0x5000, MarkArray=BLOCK + 0x8000)
    assert found == BLOCK + 0x4000
    assert read_bookkeeping(runtime, HEAP) == [Bookkeeping(found, found + 0x5000, LOWEST, HIGHEST)]


def test_a_gc_that_was_told_not_to_be_concurrent_has_no_mark_array() -> None:
    toy = ToyProcess("6.0")
    toy.next = BLOCK + 0x4000
    found = table(toy, BrickTable=BLOCK + 0x5000, MarkArray=0)
    assert read_bookkeeping(old_runtime(toy), HEAP) == [Bookkeeping(found, found + 0x5000, LOWEST, HIGHEST)]


@pytest.mark.parametrize(
    "fields",
    [
        {"users": 0},
        {"users": 9},
        {"LowestAddress": LOWEST + 1},
        {"LowestAddress": LOWEST - 1},
        {"HighestAddress": 0x74007300790053},
        {"Size": HIGHEST - LOWEST},
        {"HighestAddress": HIGHEST - 1},
        {"MarkArray": BLOCK + 0x90000},
        {"BrickTable": 0},
    ],
)
def test_tables_of_another_heap_are_not_taken(fields: dict[str, int]) -> None:
    toy = ToyProcess("6.0")
    toy.next = BLOCK + 0x4000
    runtime = old_runtime(toy)
    table(toy, **({"BrickTable": BLOCK + 0x5000, "MarkArray": BLOCK + 0x8000} | fields))
    with pytest.raises(LayoutError, match="no page begins like them"):
        read_bookkeeping(runtime, HEAP)
