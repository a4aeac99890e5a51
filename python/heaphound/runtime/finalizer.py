"""The finalizer queue: objects whose finalizer waits to run, and objects that will get there."""

from dataclasses import dataclass
from struct import unpack

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.heap import GCHeap, SubHeap
from heaphound.runtime.runtime import Runtime

MAXIMUM_OBJECTS = 1 << 32


@dataclass(frozen=True, slots=True)
class FinalizableObject:
    """One entry of the queue. `slot` is its address in the queue's array, `heap` the GC heap whose queue it is.

    `ready` objects are unreachable and wait for the finalizer thread (f-reachable): they are roots. `critical` ones come last.
    Others are alive or not yet found dead. An object whose finalizer was suppressed stays listed until the next collection.
    """

    slot: int
    object: int
    heap: int
    ready: bool
    critical: bool


@dataclass(frozen=True, slots=True)
class QueueGap:
    """A heap's queue that could not be read, and why."""

    heap: int
    address: int
    reason: str


@dataclass(frozen=True)
class FinalizerQueue:
    """Both parts of the queue over all heaps, in the order of the queue."""

    ready: tuple[FinalizableObject, ...]
    waiting: tuple[FinalizableObject, ...]
    gaps: tuple[QueueGap, ...]


def read_finalizer_queue(runtime: Runtime, heap: GCHeap) -> FinalizerQueue:
    """The queue of every heap. A queue that is not in the dump or makes no sense is a gap.

    CFinalize (src/coreclr/gc/gcpriv.h) keeps one array, divided by fill pointers: one part a generation, then critical finalizers that
    are ready, then ready ones, then free room. `m_Array` and `m_EndArray` lie behind the fill pointers.
    """
    ready: list[FinalizableObject] = []
    waiting: list[FinalizableObject] = []
    gaps: list[QueueGap] = []
    for sub_heap in heap.heaps:
        try:
            _read_queue(runtime, sub_heap, ready, waiting)
        except (Unreadable, Malformed) as error:
            gaps.append(QueueGap(sub_heap.index, sub_heap.finalize_queue, str(error)))
    return FinalizerQueue(tuple(ready), tuple(waiting), tuple(gaps))


def _read_queue(runtime: Runtime, heap: SubHeap, ready: list[FinalizableObject], waiting: list[FinalizableObject]) -> None:
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
    objects = unpack(f"<{count}Q", memory.bytes(start, 8 * count))
    generations_end, critical_end = (fills[-3] - start) // 8, (fills[-2] - start) // 8
    for index, target in enumerate(objects):
        if target:
            is_ready = index >= generations_end
            entry = FinalizableObject(start + 8 * index, target, heap.index, is_ready, is_ready and index < critical_end)
            (ready if is_ready else waiting).append(entry)
