"""Blocks of a hand-written brk heap."""

from struct import pack

import pytest

from heaphound.dump.malloc_blocks import MallocBlocks, brk_heap_blocks
from tests.unit.runtime.written_memory import written_memory

START = 0x5500_0000_0000


def heap_of(*chunks: tuple[int, bool], end: int = 0x1000) -> bytes:
    """Chunks by (size, whether in use), then the top chunk up to `end`; a chunk's PREV_INUSE tells of the one before."""
    data, before = b"", True
    for size, used in chunks:
        data += pack("<QQ", 0, size | before).ljust(size, b"\0")
        before = used
    return (data + pack("<QQ", 0, (end - len(data)) | before)).ljust(end, b"\0")


def walked(data: bytes, heap_bytes: int | None = None) -> MallocBlocks:
    image, memory = written_memory()
    image.write(START, data)
    return brk_heap_blocks(memory, START, START + (heap_bytes or len(data)))


def test_blocks_in_use_by_size_and_free_ones_apart() -> None:
    found = walked(heap_of((0x290, True), (0x30, True), (0x30, True), (0x500, False), (0x40, True)))
    assert found.in_use == {0x290: 1, 0x30: 2, 0x40: 1}
    assert (found.free_bytes, found.used_bytes) == (0x500, 0x290 + 2 * 0x30 + 0x40)
    assert found.walked_bytes == 0x290 + 2 * 0x30 + 0x500 + 0x40


@pytest.mark.parametrize("size", [0, 0x10, 0x100000, 0xFFFF_FFFF_FFFF_FFF0])
def test_a_chunk_that_makes_no_sense_ends_the_walk(size: int) -> None:
    data = bytearray(heap_of((0x40, True), (0x50, True)))
    data[0x48:0x50] = pack("<Q", size | 1)
    found = walked(bytes(data))
    assert (found.in_use, found.walked_bytes) == ({0x40: 1}, 0x40)


def test_memory_that_the_dump_lacks_ends_the_walk() -> None:
    found = walked(heap_of((0x40, True), (0x2000, True), end=0x3000)[:0x60], heap_bytes=0x4000)
    assert (found.in_use, found.walked_bytes, found.heap_bytes) == ({0x40: 1}, 0x40, 0x4000)
