"""The memory of each thread's stack, as far as a core tells it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from heaphound.dump.core import Core
from heaphound.dump.glibc import ARENA_BYTES
from heaphound.dump.memory import Memory
from heaphound.dump.ranges import Range, Ranges
from heaphound.dump.registers import ThreadRegisters
from heaphound.errors import Unreadable

_PAGE = 4096
_CHUNK_BYTES = 1 << 20
_ZEROS = bytes(_CHUNK_BYTES)
_TCB_WORDS = 512  # `struct pthread` of glibc takes some 2,300 bytes from fs_base on (nptl/descr.h)
_MAXIMUM_TCB_BYTES = 16 * _PAGE


@dataclass(frozen=True, slots=True)
class ThreadStack:
    """The stack of one thread: [start, end) as mapped, `stack_pointer` in it.

    `exact`: glibc's own record of the stack was found. Else the range is the part of the surrounding writable memory that
    can belong to it, which may take in neighbours.
    """

    os_id: int
    start: int
    end: int
    stack_pointer: int
    exact: bool


def thread_stacks(core: Core, writable: Ranges) -> list[ThreadStack]:
    """One entry a thread whose stack pointer lies in `writable` (resident, writable, no file's memory), in thread order."""
    found = []
    for thread in core.threads:
        pointer = thread.stack_pointer
        if not writable.overlap(pointer, pointer + 1):
            continue
        block = _recorded_block(core, thread)
        if block is None:
            start, end = _surrounding(writable, pointer)
            found.append(ThreadStack(thread.os_id, start, end, pointer, exact=False))
        else:
            found.append(ThreadStack(thread.os_id, *block, pointer, exact=True))
    return found


def untouched_end(memory: Memory, stack: ThreadStack, writable: Ranges) -> int:
    """The start of the lowest page of the stack that holds anything but zeros; below it lies what the stack never grew into.

    createdump writes those pages though the process has no memory for them. Reads the stack up to there, in the lowest of
    its `writable` ranges only: what the dump left out is not counted as zeros.
    """
    for start, end in writable.within(stack.start, stack.end):  # the first: below it lies the guard page
        address = start
        while address < end:
            data = memory.bytes(address, min(_CHUNK_BYTES, end - address))
            if data != _ZEROS[: len(data)]:
                return address + (len(data) - len(data.lstrip(b"\0"))) // _PAGE * _PAGE
            address += len(data)
        return end
    return stack.start


def _recorded_block(core: Core, thread: ThreadRegisters) -> Range | None:
    """`stackblock` and `stackblock_size` of glibc's thread descriptor, which fs_base points to.

    Their offset moves between glibc versions, so the pair is found by what must hold of it: a page-aligned block that has
    the stack pointer in it and ends within pages behind the descriptor. The main thread has no such record.
    """
    descriptor = thread.registers.get("fs_base")
    if not descriptor:
        return None
    try:
        present = core.image.readable_bytes(descriptor, 8 * _TCB_WORDS) // 8
        words = core.memory.words(descriptor, present)
    except (Unreadable, OverflowError):
        return None
    for start, size in pairwise(words):
        aligned = start % _PAGE == 0 and size % _PAGE == 0 and size > 0
        if aligned and start <= thread.stack_pointer < start + size and 0 < start + size - descriptor <= _MAXIMUM_TCB_BYTES:
            return start, start + size
    return None


def _surrounding(writable: Ranges, pointer: int) -> Range:
    """The contiguous writable memory around `pointer`, cut at the multiples of 64 MiB where glibc's arenas begin."""
    floor = pointer // ARENA_BYTES * ARENA_BYTES
    parts = writable.within(floor, floor + ARENA_BYTES)
    return next(part for part in parts if part[0] <= pointer < part[1])
