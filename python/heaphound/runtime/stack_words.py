"""Words of thread stacks and registers that look like references: conservative roots, where a stack cannot be decoded exactly."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound._core import Heap
from heaphound.dump.core import Core
from heaphound.dump.ranges import Ranges
from heaphound.dump.stacks import thread_stacks
from heaphound.runtime.heap import GCHeap
from heaphound.runtime.stacks.frame import Frame

NO_OBJECT = 0xFFFFFFFF
STACK_POINTERS = ("rsp", "sp")
_LAST = 1 << 64


@dataclass(frozen=True, slots=True)
class StackWords:
    """Words of one thread that point into an object. `slots` is 0 for a register; `objects` are the starts of the objects.

    `frame` is the frame whose range was looked through, None for a whole stack; `reason` says why its references could not be told.
    """

    os_id: int
    slots: NDArray[np.uint64]
    objects: NDArray[np.uint64]
    frame: Frame | None = None
    reason: str = ""


def stack_pointer(registers: dict[str, int]) -> int | None:
    """The stack pointer of a thread's registers; None if the architecture's name for it is not among them."""
    return next((registers[name] for name in STACK_POINTERS if name in registers), None)


def read_stack_words(core: Core, table: Heap, heap: GCHeap) -> tuple[list[StackWords], list[str]]:
    """Scan every thread from its stack pointer to the end of its stack, and its registers.

    Returns the words, and one sentence for each thread whose stack the dump does not hold. Over-reports by nature: a stale word counts
    too. O(bytes of stacks).
    """
    found: list[StackWords] = []
    missing: list[str] = []
    ends = stack_ends(core, heap)
    for thread in core.threads:
        pointer = stack_pointer(thread.registers)
        end = None if pointer is None else ends.get(thread.os_id)
        if pointer is None or end is None:
            missing.append(f"the stack of thread {thread.os_id} is not in the dump")
            pointer = end = 0
        found.append(scan_words(core, table, thread.os_id, (pointer, end), thread.registers))
    return found, missing


def scan_words(
    core: Core,
    table: Heap,
    os_id: int,
    bounds: tuple[int, int],
    registers: Mapping[str, int],
    frame: Frame | None = None,
    reason: str = "",
) -> StackWords:
    """The words in `bounds` of memory, and the registers, that point into an object."""
    slots, objects = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint32)
    start, end = bounds[0] & ~7, bounds[1]
    if start < end:
        slots, objects = table.scan_words(core.image, start, end)
    values = np.array([value & 0xFFFFFFFFFFFFFFFF for value in registers.values()], dtype=np.uint64)
    held = table.indices_containing(values)
    held = held[held != NO_OBJECT]
    indices = np.concatenate([held, objects])
    return StackWords(os_id, np.concatenate([np.zeros(len(held), dtype=np.uint64), slots]), table.addresses_of(indices), frame, reason)


class StackEnds:
    """Where stacks end. A thread has more than one where a signal's handler runs on a stack of its own.

    A core merges neighbouring mappings of one kind, so the segment around a stack pointer may go on into a GC segment, whose words
    are no roots. glibc's record of the stack tells its end; without one the next GC segment bounds it.
    """

    def __init__(self, core: Core, heap: GCHeap) -> None:
        self._segments = sorted((address, address + size) for address, size, _memory, _offset, _flags in core.image.segments if size)
        self._recorded = {stack.os_id: (stack.start, stack.end) for stack in thread_stacks(core, Ranges(self._segments)) if stack.exact}
        self._heap_starts = sorted(segment.committed_start for segment in heap.segments)

    def behind(self, os_id: int, address: int) -> int | None:
        """End of the stack of a thread in which an address lies; None where the dump does not have that memory."""
        index = bisect_right(self._segments, (address, _LAST)) - 1
        if index < 0 or address >= self._segments[index][1]:
            return None
        start, end = self._recorded.get(os_id, (0, 0))
        position = bisect_right(self._heap_starts, address)
        bounds = [self._segments[index][1], *self._heap_starts[position : position + 1]]
        return min(*bounds, end) if start <= address < end else min(bounds)


def stack_ends(core: Core, heap: GCHeap) -> dict[int, int]:
    """End of the stack that each thread runs on, by its id in the kernel; a thread whose stack the dump lacks is not in it."""
    ends = StackEnds(core, heap)
    pointers = {thread.os_id: stack_pointer(thread.registers) for thread in core.threads}
    found = {os_id: ends.behind(os_id, pointer) for os_id, pointer in pointers.items() if pointer is not None}
    return {os_id: end for os_id, end in found.items() if end is not None}
