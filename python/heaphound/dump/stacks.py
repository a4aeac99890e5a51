"""The memory of each thread's stack, as far as a core tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
_TCB_BYTES_BEFORE = 0x800  # the pair lies at most so far behind the thread's id
_MAXIMUM_STACK_BYTES = 64 << 20


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
        block = _recorded_block(core, thread, writable)
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
                return address + _first_page_in_use(data)
            address += len(data)
        return end
    return stack.start


def _first_page_in_use(data: bytes) -> int:
    """Offset of the first page that holds anything but zeros, by halving: comparing bytes is ten times as fast as stripping them."""
    low, high = 0, len(data)
    while high - low > _PAGE:
        middle = low + max(_PAGE, (high - low) // 2 // _PAGE * _PAGE)
        if data[low:middle] == _ZEROS[: middle - low]:
            low = middle
        else:
            high = middle
    return low


def _recorded_block(core: Core, thread: ThreadRegisters, writable: Ranges) -> Range | None:
    """`stackblock` and `stackblock_size` of glibc's thread descriptor, which lies at the top of the stack's own memory.

    fs_base of x64 points to the descriptor. arm64's thread pointer is in no note that all writers make: there the descriptor is found above
    the stack pointer, by its thread id. The offsets move between glibc versions, so the pair is found by what must hold of it: a
    page-aligned block that has the stack pointer in it and ends within pages behind the descriptor. The main thread has no such record.
    """
    descriptor = thread.registers.get("fs_base")
    if descriptor:
        pairs = _pairs(core, thread, descriptor, 8 * _TCB_WORDS)
    elif "lr" in thread.registers:  # arm64
        _, top = _surrounding(writable, thread.stack_pointer)
        pairs = _pairs(core, thread, thread.stack_pointer & ~7, min(top - thread.stack_pointer, _MAXIMUM_STACK_BYTES), named=True)
    else:
        return None
    return next(pairs, None)


def _pairs(core: Core, thread: ThreadRegisters, address: int, size_bytes: int, *, named: bool = False) -> Iterator[Range]:
    """The blocks that pairs of words in [address, address + size_bytes) describe; `named`: with the thread's id in front of the pair."""
    try:
        present = core.image.readable_bytes(address, size_bytes) // 8
        data = core.memory.bytes(address, 8 * present)
    except (Unreadable, OverflowError):
        return
    words = np.frombuffer(data, "<u8")
    starts, sizes = words[:-1], words[1:]
    pointer = np.uint64(thread.stack_pointer)
    fits = (starts % _PAGE == 0) & (sizes % _PAGE == 0) & (starts <= pointer) & (sizes > pointer - starts) & (sizes < 1 << 47)
    for row in np.flatnonzero(fits).tolist():
        start, size = int(starts[row]), int(sizes[row])
        if not 0 < start + size - (address + 8 * row if named else address) <= _MAXIMUM_TCB_BYTES:
            continue
        if named and thread.os_id not in np.frombuffer(data[max(0, 8 * row - _TCB_BYTES_BEFORE) : 8 * row], "<u4"):
            continue
        yield start, start + size


def _surrounding(writable: Ranges, pointer: int) -> Range:
    """The contiguous writable memory around `pointer`, cut at the multiples of 64 MiB where glibc's arenas begin."""
    floor = pointer // ARENA_BYTES * ARENA_BYTES
    parts = writable.within(floor, floor + ARENA_BYTES)
    return next(part for part in parts if part[0] <= pointer < part[1])
