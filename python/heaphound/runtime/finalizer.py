"""The finalizer queue: objects whose finalizer waits to run, and objects that will get there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.heap import GCHeap, SubHeap
from heaphound.runtime.runtime import Runtime

MAXIMUM_OBJECTS = 1 << 32


@dataclass(frozen=True)
class QueuePart:
    """One part of the queue over all heaps, an entry a place of the columns, in the order of the queue.

    `slots`: address of the entry in the queue's array, uint64; `objects`: the object, uint64; `heaps`: the GC heap whose queue it is,
    uint32; `critical`: whether its finalizer runs after all others, known of ready objects alone, bool.
    """

    slots: NDArray[np.uint64]
    objects: NDArray[np.uint64]
    heaps: NDArray[np.uint32]
    critical: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.objects)


@dataclass(frozen=True, slots=True)
class QueueGap:
    """A heap's queue that could not be read, and why."""

    heap: int
    address: int
    reason: str


@dataclass(frozen=True)
class FinalizerQueue:
    """Both parts of the queue over all heaps, and what of it could not be read.

    `ready` objects are unreachable and wait for the finalizer thread (f-reachable): they are roots. `waiting` ones are alive or not yet
    found dead; one whose finalizer was suppressed stays listed until the next collection.
    """

    ready: QueuePart
    waiting: QueuePart
    gaps: tuple[QueueGap, ...]


NOTHING = QueuePart(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint32), np.zeros(0, np.bool_))
NO_QUEUE = FinalizerQueue(NOTHING, NOTHING, ())


def read_finalizer_queue(runtime: Runtime, heap: GCHeap) -> FinalizerQueue:
    """The queue of every heap. A queue that is not in the dump or makes no sense is a gap.

    CFinalize (src/coreclr/gc/gcpriv.h) keeps one array, divided by fill pointers: one part a generation, then critical finalizers that
    are ready, then ready ones, then free room. `m_Array` and `m_EndArray` lie behind the fill pointers.
    """
    parts: list[tuple[QueuePart, QueuePart]] = []
    gaps: list[QueueGap] = []
    for sub_heap in heap.heaps:
        try:
            parts.append(_read_queue(runtime, sub_heap))
        except (Unreadable, Malformed) as error:
            gaps.append(QueueGap(sub_heap.index, sub_heap.finalize_queue, str(error)))
    return FinalizerQueue(_joined([ready for ready, _ in parts]), _joined([waiting for _, waiting in parts]), tuple(gaps))


def _joined(parts: Sequence[QueuePart]) -> QueuePart:
    columns = [(part.slots, part.objects, part.heaps, part.critical) for part in (NOTHING, *parts)]
    slots, objects, heaps, critical = zip(*columns, strict=True)
    return QueuePart(np.concatenate(slots), np.concatenate(objects), np.concatenate(heaps), np.concatenate(critical))


def _read_queue(runtime: Runtime, heap: SubHeap) -> tuple[QueuePart, QueuePart]:
    """(ready, waiting) of one heap; entries whose object was taken out are null and left out."""
    memory, layout = runtime.memory, runtime.layout
    parts = len(heap.generations) + layout.constant("FinalizeQueue.SegmentsBeyondGenerations")
    words = memory.words(heap.finalize_queue + layout.offset("CFinalize", "FillPointers"), parts + 2)
    fills, start, end = words[:parts], words[parts], words[parts + 1]
    bounds = (start, *fills, end)
    if list(bounds) != sorted(bounds) or any(bound % 8 for bound in bounds):
        raise Malformed(f"the finalizer queue's fill pointers are not in order: {[hex(bound) for bound in bounds]}")
    count = (fills[-1] - start) // 8
    if count > MAXIMUM_OBJECTS:
        raise LimitExceeded(f"the finalizer queue has {count} objects")
    objects = np.frombuffer(memory.bytes(start, 8 * count), "<u8").astype(np.uint64)
    index, taken = np.arange(count), objects != 0
    ready = index >= (fills[-3] - start) // 8
    critical = ready & (index < (fills[-2] - start) // 8)
    slots, heaps = (start + 8 * index).astype(np.uint64), np.full(count, heap.index, np.uint32)
    of_ready, of_waiting = (QueuePart(slots[rows], objects[rows], heaps[rows], critical[rows]) for rows in (taken & ready, taken & ~ready))
    return of_ready, of_waiting
