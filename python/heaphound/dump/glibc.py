"""Where glibc's malloc keeps the native heap, known by the headers that it writes into memory.

malloc/malloc.c and malloc/arena.c of glibc 2.26 to 2.40, 64-bit: a heap of a secondary arena begins at a multiple of 64 MiB
with `heap_info` {ar_ptr, prev, size, mprotect_size}; a chunk begins with {prev_size, size | flags}; the brk heap begins
with the first thread's cache; a large allocation is a mapping of its own whose chunk has the flag IS_MMAPPED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.dump.ranges import Range
from heaphound.errors import Unreadable

ARENA_BYTES = 64 << 20  # HEAP_MAX_SIZE = 2 * DEFAULT_MMAP_THRESHOLD_MAX
_PREVIOUS_IN_USE, _IS_MMAPPED, _FLAGS = 1, 2, 7
_PAGE = 4096
_SMALLEST_CHUNK = 32
_FIRST_ARENA_OFFSETS = (0x20, 0x30)  # sizeof(heap_info) before and from 2.35 on, when a page size was added


@dataclass(frozen=True, slots=True)
class ArenaHeap:
    """One heap of a secondary arena: [start, end) is writable, up to `reserved_end` it is address space only.

    `arena` is the address of the `malloc_state` that it belongs to.
    """

    start: int
    end: int
    reserved_end: int
    arena: int


def find_arena_heaps(memory: Memory, anonymous: Iterable[Range]) -> list[ArenaHeap]:
    """The arena heaps that begin in one of the `anonymous` ranges, ascending. musl and other allocators have none."""
    found = []
    for start, end in anonymous:
        for address in range(-(-start // ARENA_BYTES) * ARENA_BYTES, end, ARENA_BYTES):
            heap = _arena_heap(memory, address)
            if heap is not None:
                found.append(heap)
    return found


def _arena_heap(memory: Memory, address: int) -> ArenaHeap | None:
    try:
        arena, previous, size, writable = memory.words(address, 4)
    except Unreadable:
        return None
    plausible = (
        0 < size <= writable <= ARENA_BYTES
        and size % _PAGE == 0
        and writable % _PAGE == 0
        and (arena - address in _FIRST_ARENA_OFFSETS if previous == 0 else arena % ARENA_BYTES in _FIRST_ARENA_OFFSETS)
        and previous % ARENA_BYTES == 0
    )
    return ArenaHeap(address, address + writable, address + ARENA_BYTES, arena) if plausible else None


def is_main_heap(memory: Memory, start: int) -> bool:
    """Whether the brk heap begins at `start`: a first chunk with nothing before it, and a second one where that ends."""
    try:
        previous_size, size = memory.words(start, 2)
        if previous_size != 0 or size & _FLAGS != _PREVIOUS_IN_USE or not _SMALLEST_CHUNK <= size & ~_FLAGS <= 1 << 20:
            return False
        following = memory.u64(start + (size & ~_FLAGS) + 8)
    except Unreadable:
        return False
    return bool(following & _PREVIOUS_IN_USE) and following & ~_FLAGS >= _SMALLEST_CHUNK and following < 1 << 40


def mapped_chunks(memory: Memory, start: int, end: int) -> Iterator[Range]:
    """The large allocations that lie one behind the other from the start of an anonymous range on; neighbours share a range."""
    while start + 16 <= end:
        try:
            previous_size, size = memory.words(start, 2)
        except Unreadable:
            return
        length = size & ~_FLAGS
        if previous_size != 0 or size & _FLAGS != _IS_MMAPPED or length == 0 or length % _PAGE or length > end - start:
            return
        yield start, start + length
        start += length
