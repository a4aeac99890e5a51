"""The blocks of glibc's brk heap by size: which sizes a native leak consists of.

malloc/malloc.c of glibc 2.26 to 2.40, 64-bit: chunks lie one behind the other, each {prev_size, size | flags}; whether a chunk is in use is
told by the flag PREV_INUSE of the next one. Chunks that malloc keeps in a thread's cache or in fast bins count as in use there too.
"""

from collections import Counter
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable

_PREVIOUS_IN_USE, _FLAGS = 1, 7
_SMALLEST_CHUNK = 32
_MAXIMUM_BLOCKS = 2_000_000  # some 2 s


@dataclass(frozen=True, slots=True)
class MallocBlocks:
    """`in_use` counts blocks by their size in bytes, header included; `walked_bytes` of `heap_bytes` were read."""

    in_use: Counter[int]
    free_bytes: int
    walked_bytes: int
    heap_bytes: int

    @property
    def used_bytes(self) -> int:
        """Bytes of the blocks in use."""
        return sum(size * count for size, count in self.in_use.items())


def brk_heap_blocks(memory: Memory, start: int, end: int) -> MallocBlocks:
    """Walk the brk heap from its first chunk; ends where a chunk makes no sense or the dump lacks it."""
    in_use: Counter[int] = Counter()
    free_bytes, at = 0, start
    for _ in range(_MAXIMUM_BLOCKS):
        try:
            size = memory.u64(at + 8) & ~_FLAGS
            if not _SMALLEST_CHUNK <= size < end - at - 16:
                break
            used = bool(memory.u64(at + size + 8) & _PREVIOUS_IN_USE)
        except Unreadable:
            break
        if used:
            in_use[size] += 1
        else:
            free_bytes += size
        at += size
    return MallocBlocks(in_use, free_bytes, at - start, end - start)
