"""The memory image: what of a core can be read, and one clear sentence for each file that is no core."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaphound._core import Image
from heaphound.errors import DumpError, Unreadable
from tests.dumpwriter import DumpWriter

BASE = 0x40_0000
relaxed = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def core(*segments: tuple[int, bytes]) -> DumpWriter:
    writer = DumpWriter()
    for address, data in segments:
        writer.segment(address, data)
    return writer


def patched(at: int, word: bytes) -> Callable[[bytearray], None]:
    def patch(data: bytearray) -> None:
        data[at : at + len(word)] = word

    return patch


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (lambda data: data.clear(), "is empty."),
        (patched(0, b"MZ"), "is not an ELF file, so not a Linux core dump."),
        (lambda data: data.__delitem__(slice(3, None)), "is not an ELF file"),
        (lambda data: data.__delitem__(slice(40, None)), "is cut short: its ELF header lie past the end of the file (40 bytes)."),
        (lambda data: data.__delitem__(slice(100, None)), "is cut short: its program headers lie past the end of the file (100 bytes)."),
        (patched(4, b"\x01"), "is a 32-bit ELF file (x64); only 64-bit cores"),
        (patched(4, b"\x07"), "has an unknown ELF class (7)."),
        (patched(5, b"\x02"), "is a big-endian ELF file"),
        (patched(16, pack("<H", 2)), "is an ELF file but no core dump: it is an executable."),
        (patched(16, pack("<H", 3)), "is an ELF file but no core dump: it is an executable or shared library."),
        (patched(16, pack("<H", 1)), "is an ELF file but no core dump: it is an object file."),
        (patched(16, pack("<H", 77)), "it is of ELF type 77."),
        (patched(18, pack("<H", 40)), "is a core of arm32; only x64 and arm64 can be read."),
        (patched(18, pack("<H", 3)), "is a core of x86;"),
        (patched(18, pack("<H", 999)), "is a core of machine 999;"),
        (patched(32, pack("<Q", 2**64 - 1)), "is cut short: its program headers"),
        (patched(32, pack("<Q", 1 << 40)), "is cut short: its program headers"),
        (patched(54, pack("<H", 7)), "is cut short: its program headers"),
        (patched(56, pack("<H", 0)), "without program headers"),
        (patched(64 + 56 + 8, pack("<Q", 2**64 - 1)), "has an impossible program header 1: its file offset plus its size passes 2^64."),
        (patched(64 + 56 + 16, pack("<Q", 2**64 - 1)), "has an impossible program header 1: its address plus its size passes 2^64."),
        (patched(64 + 56 + 40, pack("<Q", 2**64 - 1)), "has an impossible program header 1"),
    ],
)
def test_what_is_no_core_is_told_in_one_sentence(tmp_path: Path, patch: Callable[[bytearray], None], sentence: str) -> None:
    data = bytearray(core((BASE, b"x" * 64)).data())
    patch(data)
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(DumpError, match=re.escape(sentence)) as caught:
        Image.open(path)
    assert str(caught.value).startswith(str(path))


def test_32_bit_arm_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + pack("<HH", 4, 40) + bytes(60))
    with pytest.raises(DumpError, match=r"32-bit ELF file \(arm32\)"):
        Image.open(path)


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="No such file"):
        Image.open(tmp_path / "absent")
    with pytest.raises(DumpError, match="not a regular file"):
        Image.open(tmp_path)


def test_facts_of_a_core(tmp_path: Path) -> None:
    path = core((BASE + 0x1000, b"b" * 16), (BASE, b"a" * 4096)).thread(1).write(tmp_path / "core")
    image = Image.open(path)
    assert image.path == str(path)
    assert image.machine == "x64"
    assert image.file_size_bytes == path.stat().st_size
    assert image.expected_size_bytes <= image.file_size_bytes
    assert [row[:3] for row in image.segments] == [(BASE, 4096, 4096), (BASE + 0x1000, 16, 16)]
    assert image.readable_ranges == [(BASE, BASE + 0x1010)]
    assert len(image.notes) == 1
    offset, size = image.notes[0]
    assert image.file_bytes(offset, size)[12:16] == b"CORE"
    with pytest.raises(Unreadable, match="past the end of the core file"):
        image.file_bytes(image.file_size_bytes - 1, 2)


def test_arm64(tmp_path: Path) -> None:
    assert Image.open(DumpWriter("arm64").segment(BASE, b"x").write(tmp_path / "core")).machine == "arm64"


def test_more_segments_than_16_bits_count(tmp_path: Path) -> None:
    """PN_XNUM: the count is in section header 0."""
    writer = DumpWriter(extended_count=True)
    for number in range(70_000):
        writer.segment(BASE + 0x1000 * number, b"")
    writer.segment(BASE + 0x1000 * 70_000, b"last")
    image = Image.open(writer.write(tmp_path / "core"))
    assert len(image.segments) == 70_001
    assert image.read(BASE + 0x1000 * 70_000, 4) == b"last"


def test_reads_of_all_widths(tmp_path: Path) -> None:
    image = Image.open(core((BASE, bytes(range(0xF8, 0x100)) + b"\xff" * 4)).write(tmp_path / "core"))
    assert image.u8(BASE) == 0xF8
    assert image.u16(BASE) == 0xF9F8
    assert image.u32(BASE) == 0xFBFAF9F8
    assert image.u64(BASE) == 0xFFFEFDFCFBFAF9F8
    assert image.i32(BASE + 8) == -1
    assert image.i64(BASE + 4) == int.from_bytes(bytes(range(0xFC, 0x100)) + b"\xff" * 4, "little", signed=True)
    for read in (image.u8, image.u16, image.u32, image.u64, image.i32, image.i64):
        with pytest.raises(Unreadable) as caught:
            read(BASE + 12)
        assert caught.value.address == BASE + 12


def test_memory_that_was_not_dumped_is_unreadable(tmp_path: Path) -> None:
    image = Image.open(DumpWriter().segment(BASE, b"x" * 8, memory_size=4096).write(tmp_path / "core"))
    assert image.readable_bytes(BASE, 1 << 60) == 8
    assert image.readable_bytes(BASE + 8, 10) == 0
    assert image.readable_bytes(2**64 - 1, 10) == 0
    with pytest.raises(Unreadable) as caught:
        image.read(BASE + 4, 8)
    assert (caught.value.address, caught.value.size_bytes) == (BASE + 4, 8)
    with pytest.raises(Unreadable):
        image.read(BASE, 1 << 62)
    with pytest.raises(Unreadable):
        image.read(2**64 - 4, 8)
    assert image.read(BASE, 0) == b""


def test_every_truncation_opens_or_is_refused_and_never_invents_bytes(tmp_path: Path) -> None:
    whole = core((BASE, b"A" * 0x1000), (BASE + 0x1000, b"B" * 0x1000)).thread(1).write(tmp_path / "whole").read_bytes()
    first = whole.index(b"A" * 64)
    path = tmp_path / "cut"
    for size in [*range(0, 300, 7), *range(300, len(whole), 511), len(whole) - 1]:
        path.write_bytes(whole[:size])
        if size < 64 + 56 * 3:
            with pytest.raises(DumpError):
                Image.open(path)
            continue
        image = Image.open(path)
        assert image.expected_size_bytes == len(whole)
        present = max(0, size - first)
        assert image.readable_bytes(BASE, 1 << 40) == present
        if present:
            assert image.read(BASE, present) == whole[first : first + present]
        with pytest.raises(Unreadable):
            image.read(BASE, present + 1)


@relaxed
@given(st.integers(0, 64 + 56 * 3 - 8), st.binary(min_size=1, max_size=8))
def test_forged_headers_never_do_more_than_refuse(tmp_path: Path, at: int, word: bytes) -> None:
    data = bytearray(core((BASE, b"A" * 100), (BASE + 0x1000, b"B" * 100)).data())
    data[at : at + len(word)] = word
    path = tmp_path / "forged"
    path.write_bytes(data)
    try:
        image = Image.open(path)
    except DumpError:
        return
    for start, end in image.readable_ranges:
        size = min(end - start, 1 << 16)
        assert len(image.read(start, size)) == size


@relaxed
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), max_size=8), st.integers(0, 100), st.integers(1, 50))
def test_overlapping_segments_show_the_first(tmp_path: Path, rows: list[tuple[int, int]], start: int, size: int) -> None:
    """Against a picture of memory byte by byte; reads cross pieces."""
    writer = DumpWriter()
    picture: dict[int, int] = {}
    for number, (offset, length) in enumerate(rows):
        writer.segment(BASE + offset, bytes([number + 1]) * length)
    ordered = sorted(range(len(rows)), key=lambda number: rows[number][0])
    for number in ordered:
        offset, length = rows[number]
        for at in range(offset, offset + length):
            picture.setdefault(at, number + 1)
    image = Image.open(writer.write(tmp_path / "core"))
    wanted = [picture.get(at) for at in range(start, start + size)]
    if None in wanted:
        assert image.readable_bytes(BASE + start, size) == wanted.index(None)
        with pytest.raises(Unreadable):
            image.read(BASE + start, size)
    else:
        assert image.read(BASE + start, size) == bytes(value for value in wanted if value is not None)


def test_backing_fills_only_what_is_missing(tmp_path: Path) -> None:
    image = Image.open(core((BASE + 4, b"core")).write(tmp_path / "core"))
    backing = tmp_path / "library"
    backing.write_bytes(b"0123456789abcdef")
    with_file = image.with_backing(backing, [(BASE, 12, 2), (BASE + 100, 1000, 12)])
    assert with_file.read(BASE, 12) == b"2345coreabcd"
    assert with_file.readable_bytes(BASE + 100, 1000) == 4
    with_bytes = with_file.with_bytes(BASE - 2, b"yyzzzzzzzzzzzzzz")
    assert with_bytes.read(BASE - 2, 16) == b"yy2345coreabcdzz"
    with pytest.raises(Unreadable):
        image.read(BASE, 1)
    with pytest.raises(ValueError, match="passes 2\\^64"):
        image.with_bytes(2**64 - 2, b"abcd")
    with pytest.raises(DumpError, match="No such file"):
        image.with_backing(tmp_path / "absent", [])


def test_gather(tmp_path: Path) -> None:
    image = Image.open(core((BASE, pack("<QQ", 7, 8))).write(tmp_path / "core"))
    addresses = np.array([BASE + 8, 0, BASE, BASE + 9], dtype=np.uint64)
    values, present = image.gather_u64(addresses)
    assert values.tolist() == [8, 0, 7, 0]
    assert present.tolist() == [True, False, True, False]
    values32, present32 = image.gather_u32(addresses)
    assert values32[:3].tolist() == [8, 0, 7]
    assert present32.tolist() == [True, False, True, True]


@relaxed
@given(st.binary(max_size=200), st.binary(min_size=1, max_size=3), st.lists(st.integers(0, 199), max_size=3), st.integers(1, 5))
def test_find_bytes_across_pieces(tmp_path: Path, data: bytes, needle: bytes, cuts: list[int], limit: int) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    writer = DumpWriter()
    for start, stop in pairwise(edges):
        writer.segment(BASE + start, data[start:stop])
    image = Image.open(writer.write(tmp_path / "core"))
    expected, at = [], data.find(needle)
    while at >= 0:
        expected.append(BASE + at)
        at = data.find(needle, at + len(needle))
    assert image.find_bytes(needle, [(0, BASE + 1000)], limit).tolist() == expected[:limit]


def test_find_words(tmp_path: Path) -> None:
    words = [5, 9, 5, 0, 12, 9]
    image = Image.open(core((BASE, pack("<6Q", *words)), (BASE + 0x2004, b"1234" + pack("<Q", 9))).write(tmp_path / "core"))
    everything = [(0, BASE + 0x3000)]
    addresses, which = image.find_u64(np.array([9, 5], dtype=np.uint64), everything, 100)
    assert addresses.tolist() == [BASE, BASE + 8, BASE + 16, BASE + 40, BASE + 0x2008]
    assert which.tolist() == [1, 0, 1, 0, 0]
    assert image.find_u64(np.array([9], dtype=np.uint64), everything, 1)[0].tolist() == [BASE + 8]
    assert image.find_u64(np.array([9], dtype=np.uint64), [(BASE + 16, BASE + 48)], 9)[0].tolist() == [BASE + 40]
    assert image.find_u64(np.array([], dtype=np.uint64), everything, 9)[0].tolist() == []


def test_find_over_a_window_boundary(tmp_path: Path) -> None:
    """Memory is searched in windows of 4 MB: what lies across two of them is found once."""
    data = bytearray(9 << 20)
    data[(4 << 20) - 3 : (4 << 20) + 3] = b"needle"
    data[(8 << 20) - 8 : 8 << 20] = b"\x11" * 8
    image = Image.open(core((BASE, bytes(data))).write(tmp_path / "core"))
    whole = [(BASE, BASE + len(data))]
    assert image.find_bytes(b"needle", whole, 10).tolist() == [BASE + (4 << 20) - 3]
    assert image.find_u64(np.array([0x1111111111111111], dtype=np.uint64), whole, 10)[0].tolist() == [BASE + (8 << 20) - 8]
