"""Words of thread stacks and registers that look like references: conservative roots, until stacks are decoded exactly."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound._core import Heap
from heaphound.dump.core import Core
from heaphound.dump.ranges import Ranges
from heaphound.dump.stacks import thread_stacks
from heaphound.runtime.heap import GCHeap

NO_OBJECT = 0xFFFFFFFF
STACK_POINTERS = ("rsp", "sp")


@dataclass(frozen=True, slots=True)
class StackWords:
    """The words of one thread that point into an object. `slots` is 0 for a register; `objects` are the starts of the objects."""

    os_id: int
    slots: NDArray[np.uint64]
    objects: NDArray[np.uint64]


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
        slots = np.empty(0, dtype=np.uint64)
        objects = np.empty(0, dtype=np.uint32)
        if pointer is None or end is None:
            missing.append(f"the stack of thread {thread.os_id} is not in the dump")
        else:
            slots, objects = table.scan_words(core.image, pointer & ~7, end)
        values = np.array([value & 0xFFFFFFFFFFFFFFFF for value in thread.registers.values()], dtype=np.uint64)
        held = table.indices_containing(values)
        held = held[held != NO_OBJECT]
        indices = np.concatenate([held, objects])
        found.append(
            StackWords(
                thread.os_id,
                np.concatenate([np.zeros(len(held), dtype=np.uint64), slots]),
                table.addresses_of(indices),
            )
        )
    return found, missing


def stack_ends(core: Core, heap: GCHeap) -> dict[int, int]:
    """End of each thread's stack by its id in the kernel; a thread whose stack the dump lacks is not in it.

    A core merges neighbouring mappings of one kind, so the segment around a stack pointer may go on into a GC segment, whose words
    are no roots. glibc's record of the stack tells its end; without one the next GC segment bounds it.
    """
    segments = [(address, address + size) for address, size, _memory, _offset, _flags in core.image.segments if size]
    recorded = {stack.os_id: stack.end for stack in thread_stacks(core, Ranges(segments)) if stack.exact}
    heap_starts = sorted(segment.committed_start for segment in heap.segments)
    ends: dict[int, int] = {}
    for thread in core.threads:
        pointer = stack_pointer(thread.registers)
        end = None if pointer is None else next((end for start, end in segments if start <= pointer < end), None)
        if pointer is None or end is None:
            continue
        position = bisect_right(heap_starts, pointer)
        bounds = [end, recorded.get(thread.os_id, end), *heap_starts[position : position + 1]]
        ends[thread.os_id] = min(bounds)
    return ends
