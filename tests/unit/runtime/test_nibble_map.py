"""Method starts by nibble map, against the list of starts that the map was written from."""

from bisect import bisect_right
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.nibble_map import BYTES_PER_UNIT, NibbleMap, NibbleMapKind
from tests.unit.runtime.written_memory import written_memory

BASE, TABLE, UNITS = 0x7F0000400000, 0x10000, 64


def encode(starts: list[int], sizes: list[int], kind: NibbleMapKind) -> bytes:
    """Units of a map; in the constant-time form the units that a method covers whole hold its start (nibblemapmacros.h)."""
    units = [0] * UNITS
    for start, size in zip(starts, sizes, strict=True):
        bucket = start // 32
        units[bucket // 8] |= (1 + start % 32 // 4) << (28 - 4 * (bucket % 8))
        if kind == "constant-time":
            for unit in range(start // BYTES_PER_UNIT + 1, (start + size - 1) // BYTES_PER_UNIT + 1):
                if (unit + 1) * BYTES_PER_UNIT <= start + size:
                    units[unit] = (start & ~15) | (9 + (start & 15) // 4)
    return pack(f"<{UNITS}I", *units)


@st.composite
def methods(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Starts at least 32 bytes apart, 4-aligned, each method reaching to the next."""
    starts: list[int] = []
    at = draw(st.integers(0, 200)) * 4
    while at < UNITS * BYTES_PER_UNIT - 64 and len(starts) < 40:
        starts.append(at)
        at += 32 + 4 * draw(st.integers(0, 600))
    ends = [*starts[1:], UNITS * BYTES_PER_UNIT]
    return starts, [end - start for start, end in zip(starts, ends, strict=True)]


@pytest.mark.parametrize("kind", ["linear", "constant-time"])
@given(written=methods(), probe=st.integers(0, UNITS * BYTES_PER_UNIT - 1))
def test_every_address_leads_to_its_method(written: tuple[list[int], list[int]], probe: int, kind: NibbleMapKind) -> None:
    starts, sizes = written
    image, memory = written_memory()
    image.write(TABLE, encode(starts, sizes, kind))
    found = NibbleMap(memory, BASE, TABLE, kind).method_start(BASE + probe)
    index = bisect_right(starts, probe) - 1
    assert found == (BASE + starts[index] if index >= 0 else None)


@pytest.mark.parametrize("kind", ["linear", "constant-time"])
@given(written=methods())
def test_all_starts_are_listed(written: tuple[list[int], list[int]], kind: NibbleMapKind) -> None:
    image, memory = written_memory()
    image.write(TABLE, encode(*written, kind))
    found = NibbleMap(memory, BASE, TABLE, kind).method_starts(BASE + UNITS * BYTES_PER_UNIT)
    assert list(found) == [BASE + start for start in written[0]]


def test_the_example_of_the_runtimes_documentation() -> None:
    """Code at 304, looked up at 306 and 302 (docs/design/datacontracts/ExecutionManager.md)."""
    image, memory = written_memory()
    image.write(TABLE, pack("<2I", 0, 0x05000000))
    found = NibbleMap(memory, 0, TABLE, "linear")
    assert (found.method_start(306), found.method_start(302)) == (304, None)


def test_an_address_before_the_heap_is_refused() -> None:
    _, memory = written_memory()
    with pytest.raises(Malformed, match="before its code heap"):
        NibbleMap(memory, BASE, TABLE, "linear").method_start(BASE - 1)


@pytest.mark.parametrize(
    ("far", "found"), [(LIMITS.method_code_bytes - BYTES_PER_UNIT, True), (LIMITS.method_code_bytes + BYTES_PER_UNIT, False)]
)
def test_a_method_far_before_an_address_is_found_by_pages(far: int, found: bool) -> None:
    """One read a page: a hostile map can have gigabytes of empty units before an address."""
    reads: list[int] = []
    image, memory = written_memory()
    image.write(TABLE, pack("<I", 1 << 28) + bytes(4 * (far // BYTES_PER_UNIT)))
    memory._read = lambda address, size: reads.append(size) or image.read(address, size)  # type: ignore[func-returns-value]
    assert NibbleMap(memory, BASE, TABLE, "linear").method_start(BASE + far) == (BASE if found else None)
    assert len(reads) <= far // BYTES_PER_UNIT // 1024 + 2


def test_a_page_that_the_dump_lacks_counts_only_where_nothing_is_found_before() -> None:
    image, memory = written_memory()
    image.write(TABLE + 4096, pack("<I", 1 << 28) + bytes(4092))
    nibbles = NibbleMap(memory, BASE, TABLE, "linear")
    assert nibbles.method_start(BASE + 1030 * BYTES_PER_UNIT) == BASE + 1024 * BYTES_PER_UNIT
    image, memory = written_memory()
    image.write(TABLE + 4096, bytes(4096))
    with pytest.raises(Unreadable):
        NibbleMap(memory, BASE, TABLE, "linear").method_start(BASE + 1030 * BYTES_PER_UNIT)
