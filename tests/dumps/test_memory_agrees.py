"""Where the bytes are: loader heaps and GC tables against the oracle's list, and the whole as the sum of its parts."""

import pytest

from heaphound.dump import region
from heaphound.dump.elf_image import PT_GNU_RELRO
from heaphound.dump.elf_modules import ElfModule, elf_modules
from heaphound.errors import Unreadable
from heaphound.runtime.gc_memory import read_bookkeeping
from heaphound.runtime.handles import handle_segments
from heaphound.runtime.loader_heaps import read_loader_heaps
from tests.dumps.conftest import Opened
from tests.lab.cases import WITHHEAP_CASES, all_cases

LIVE = pytest.mark.parametrize("opened", all_cases()[1:], indirect=True)  # the first is the sample, for which no native heaps are recorded
NOT_OF_THE_LOADER = {"LoaderCodeHeap", "HostCodeHeap", "HandleTable", "GCBookkeeping", "GCFreeRegion"}
# Of 6.0 and earlier the oracle's library lists neither these two heaps nor those of collectible load contexts.
NOT_LISTED_BEFORE_8 = {"ExecutableHeap", "VtableHeap"}


def listed(opened: Opened, *kinds: str) -> set[tuple[int, int]]:
    """(start, end) of the oracle's native heaps of these kinds; of all that belong to the class loader when no kind is named."""
    rows = [row for row in opened.case.answers("nativeheaps") if row["row"] == "heap"]
    chosen = [row for row in rows if (row["kind"] in kinds if kinds else row["kind"] not in NOT_OF_THE_LOADER)]
    return {(int(row["address"], 16), int(row["address"], 16) + row["size"]) for row in chosen}


@LIVE
def test_the_blocks_of_the_loader_heaps(opened: Opened) -> None:
    session = opened.dump.session
    found = read_loader_heaps(session.runtime, session.module_list.modules)
    assert found.gaps == ()
    old = session.runtime.version.startswith(("3.", "6."))
    ours = {block for heap in found.heaps for block in heap.blocks if not old or not (heap.collectible or heap.kind in NOT_LISTED_BEFORE_8)}
    assert ours == listed(opened)
    assert {"HighFrequencyHeap", "LowFrequencyHeap", "StubHeap", "IndirectionCellHeap"} <= {heap.kind for heap in found.heaps}


@LIVE
def test_handle_tables_and_gc_tables(opened: Opened) -> None:
    session = opened.dump.session
    handles = {(segment, segment + (1 << 16)) for segment in handle_segments(session.runtime)}
    tables = read_bookkeeping(session.runtime, session.gc_heap)
    if session.runtime.version.startswith(("3.", "6.")):  # of 6.0 and earlier the oracle's library lists neither
        assert handles
        [table] = tables
        assert all(table.lowest <= segment.start and segment.reserved_end <= table.highest for segment in session.gc_heap.segments)
        return
    assert listed(opened, "HandleTable") <= handles
    assert {(table.start, table.end) for table in tables} == listed(opened, "GCBookkeeping")


def test_the_parts_are_the_whole(opened: Opened) -> None:
    session = opened.dump.session
    result = opened.dump.memory(ranges=True).result
    assert sum(part.size_bytes for part in result.parts) == result.total_bytes == session.core.resident_bytes
    assert sum(piece.end - piece.start for piece in result.ranges) == result.total_bytes
    known = [(segment.start, segment.end) for segment in session.gc_heap.segments]
    used = sum(part.size_bytes for part in result.parts if part.kind in ("gc-used", "gc-free"))
    assert used == sum(end - start for start, end in known)
    unexplained = next((part.size_bytes for part in result.parts if part.kind == region.ANONYMOUS.replace(": ", "-")), 0)
    assert unexplained < result.total_bytes / 20


@pytest.mark.oracle
@pytest.mark.parametrize("opened", [pytest.param(case, id=case.name) for case in WITHHEAP_CASES], indirect=True)
def test_files_in_place_of_pages_that_a_small_dump_lacks(opened: Opened) -> None:
    """The relocated pages that come from the file continue those that the dump has: no pointer of them leads outside the image."""
    session = opened.dump.session
    reports = {attached.path.rsplit("/", 1)[-1]: attached for attached in session.backing.attached}
    assert reports["libcoreclr.so"].checked_by == "build-id"
    assert reports["System.Private.CoreLib.dll"].checked_by == "resident bytes"
    module = next(module for module in elf_modules(session.core) if module.name == "libcoreclr.so")
    checked, unknown = attached_words(module)
    assert checked > 1000
    assert unknown < checked


def attached_words(module: ElfModule) -> tuple[int, int]:
    """(pointers of protected pages that lead into the image, words left unreadable)."""
    assert module.headers is not None
    protected = module.headers.first(PT_GNU_RELRO)
    assert protected is not None
    inside = range(module.base, module.base + module.headers.span_bytes)
    checked = unknown = 0
    for address in range(module.bias + protected.address, module.bias + protected.address + protected.memory_bytes - 7, 8):
        try:
            checked += module.memory.u64(address) in inside
        except Unreadable:
            unknown += 1
    return checked, unknown
