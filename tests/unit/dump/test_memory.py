"""Typed reads: the right values, and `Unreadable` instead of a stand-in."""

from pathlib import Path

import pytest

from heaphound.dump.core import open_core
from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed, Unreadable
from tests.dumpwriter import DumpWriter

START = 0x10000


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    text = "héap".encode("utf-16-le")
    data = bytes(range(0xF8, 0x100)) + b"plain text\0" + "naïve".encode() + b"\0" + b"\xff\xfe\0" + text + b"tail"
    return open_core(DumpWriter().segment(START, data).write(tmp_path / "core")).memory


def test_integers(memory: Memory) -> None:
    assert memory.u8(START) == 0xF8
    assert memory.u16(START) == 0xF9F8
    assert memory.u32(START) == 0xFBFAF9F8
    assert memory.u64(START) == memory.pointer(START) == 0xFFFEFDFCFBFAF9F8
    assert memory.i32(START) == 0xFBFAF9F8 - (1 << 32)
    assert memory.i64(START) == 0xFFFEFDFCFBFAF9F8 - (1 << 64)
    assert memory.words(START, 1) == (0xFFFEFDFCFBFAF9F8,)


def test_texts(memory: Memory) -> None:
    assert memory.cstring(START + 8) == "plain text"
    assert memory.cstring(START + 19) == "naïve"
    assert memory.cstring(START + 26).encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert memory.utf16(START + 29, 4) == "héap"


def test_a_text_without_end(memory: Memory) -> None:
    with pytest.raises(LimitExceeded, match="no end within 4 bytes"):
        memory.cstring(START + 8, 4)
    assert memory.cstring(START + 8, 10) == "plain text"
    with pytest.raises(Unreadable):
        memory.cstring(START + 37)


@pytest.mark.parametrize("address", [0, START - 1, START + 0x1000, -8, 1 << 64, (1 << 64) - 1, 1 << 80])
def test_absent_addresses(memory: Memory, address: int) -> None:
    for read in (memory.u8, memory.u16, memory.u32, memory.u64, memory.i32, memory.i64, memory.cstring):
        with pytest.raises(Unreadable):
            read(address)
    with pytest.raises(Unreadable):
        memory.bytes(address, 2)
    assert not memory.readable(address, 2)
    assert memory.optional(memory.u64, address) is None


def test_hostile_sizes(memory: Memory) -> None:
    with pytest.raises(Malformed):
        memory.bytes(START, -1)
    with pytest.raises(Unreadable):
        memory.bytes(START, 1 << 62)
    with pytest.raises(Unreadable):
        memory.bytes(START, 1 << 64)


def test_a_read_crosses_from_one_segment_into_the_next(tmp_path: Path) -> None:
    writer = DumpWriter().segment(START, b"a" * 4096).segment(START + 4096, b"b" * 4096, flags=5)
    memory = open_core(writer.write(tmp_path / "core")).memory
    assert memory.bytes(START + 4094, 4) == b"aabb"
    assert memory.u64(START + 4092) == int.from_bytes(b"aaaabbbb", "little")


@pytest.mark.parametrize(("address", "there"), [(START, 41), (-8, 0), (1 << 64, 0), ((1 << 64) - 1, 0), (1 << 80, 0)])
def test_how_much_is_readable_anywhere(memory: Memory, address: int, there: int) -> None:
    assert memory.readable_bytes(address, 100) == there
