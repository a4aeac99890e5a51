"""The managed heap as the GC lays it out: heaps, generations, segments or regions, allocation contexts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.alloc_contexts import allocation_contexts
from heaphound.runtime.gc_variables import NOT_USED
from heaphound.runtime.runtime import Runtime

MAXIMUM_HEAPS = 1024  # MAX_SUPPORTED_CPUS of src/coreclr/gc/gcpriv.h
MAXIMUM_SEGMENTS = 4_194_304  # 4 MiB regions over the 16 TiB that x64 processes reach
LARGE, PINNED = 3, 4
KINDS = {0: "Generation0", 1: "Generation1", 2: "Generation2", LARGE: "Large", PINNED: "Pinned"}
GC_STATE_FREE = 2  # c_gc_state_free of src/coreclr/gc/gcpriv.h: no background collection is marking or planning
PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment or region: objects lie in [start, end). `address` is the GC's own structure (heap_segment).

    `kind` is Generation0, Generation1, Generation2, Large, Pinned, Frozen, or Ephemeral, which holds several generations: then
    `generation` is None. Else it is the age 0, 1 or 2 that objects there have (2 for Large, Pinned and Frozen).
    `generation_ranges` are (generation, start, end) with objects, in address order.
    """

    address: int
    start: int
    end: int
    committed_start: int
    committed_end: int
    reserved_end: int
    kind: str
    generation: int | None
    heap: int
    flags: int
    generation_ranges: tuple[tuple[int, int, int], ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes from the first to behind the last object, free blocks and unused allocation contexts included."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Generation:
    """One entry of a heap's generation table. `allocation_start` is None under regions; pointer and limit are 0 when unused."""

    number: int
    start_segment: int
    allocation_start: int | None
    allocation_pointer: int
    allocation_limit: int


@dataclass(frozen=True, slots=True)
class SubHeap:
    """One GC heap: the only one of the workstation GC (`address` None: it is static data), or one of the server GC's."""

    index: int
    address: int | None
    generations: tuple[Generation, ...]
    ephemeral_segment: int
    allocated: int
    finalize_queue: int


@dataclass(frozen=True, slots=True)
class HeapGap:
    """Segments or allocation contexts that could not be read: where (0 where no one address tells), and why."""

    address: int
    reason: str


@dataclass(frozen=True)
class GCHeap:
    """All of the managed heap. Segments ascend by address.

    `allocation_contexts` are unused stretches [start, end) handed out for the next objects; the last object-sized 24 bytes behind
    `end` are unused too. `collecting` says whether a collection was rewriting the heap, so that a walk may meet broken objects;
    `background_collecting` whether a concurrent one was under way, which leaves the heap walkable. None where the dump does not tell.
    """

    server: bool
    regions: bool
    heaps: tuple[SubHeap, ...]
    segments: tuple[Segment, ...] = field(repr=False)
    allocation_contexts: tuple[tuple[int, int], ...] = field(repr=False)
    collecting: bool | None
    background_collecting: bool | None
    gaps: tuple[HeapGap, ...]

    def segment_of(self, address: int) -> Segment | None:
        """The segment whose object range holds the address, or None."""
        low, high = 0, len(self.segments)
        while low < high:
            middle = (low + high) // 2
            if self.segments[middle].end <= address:
                low = middle + 1
            else:
                high = middle
        found = self.segments[low] if low < len(self.segments) else None
        return found if found is not None and found.start <= address else None

    def generation_of(self, address: int) -> str | None:
        """Generation0, Generation1, Generation2, Large, Pinned or Frozen for an address among objects; None elsewhere."""
        segment = self.segment_of(address)
        if segment is None or segment.kind != "Ephemeral":
            return None if segment is None else segment.kind
        return next((KINDS[number] for number, start, end in segment.generation_ranges if start <= address < end), None)

    def object_ranges(self) -> list[tuple[int, int]]:
        """[start, end) of every segment with objects, ascending: what a heap walk goes through."""
        return [(segment.start, segment.end) for segment in self.segments if segment.end > segment.start]


def read_heap(runtime: Runtime) -> GCHeap:
    """The heap's structure, workstation or server, segments or regions.

    Raises LayoutError when the GC's own tables are not as the layout says, Unreadable when they are not in the dump. A segment list
    that breaks off and an allocation context that cannot be read are gaps: the rest is still answered.
    """
    memory, layout, gc = runtime.memory, runtime.layout, runtime.gc
    heaps = tuple(_server_heaps(runtime)) if gc.server else (_workstation_heap(runtime),)
    segments: list[Segment] = []
    gaps: list[HeapGap] = []
    for heap in heaps:
        _read_segments(memory, layout, heap, gc.regions, segments, gaps)
    segments.sort(key=lambda segment: segment.start)
    _check_order(segments)
    own = ((g.allocation_pointer, g.allocation_limit) for heap in heaps for g in heap.generations)
    contexts = allocation_contexts(runtime, own)
    gaps += [HeapGap(0, reason) for reason in contexts.missing]
    return GCHeap(
        server=gc.server,
        regions=gc.regions,
        heaps=heaps,
        segments=tuple(segments),
        allocation_contexts=contexts.stretches,
        collecting=_flag(runtime, "StructuresInvalidCount", lambda count: count > 0),
        background_collecting=_flag(runtime, "CurrentGCState", lambda state: state != GC_STATE_FREE),
        gaps=tuple(gaps),
    )


def _flag(runtime: Runtime, name: str, meaning: Callable[[int], bool]) -> bool | None:
    memory = runtime.memory
    try:
        variable = runtime.gc.variable(memory, runtime.layout, name)
        return meaning(memory.i32(variable)) if variable else None
    except Unreadable:
        return None


def _workstation_heap(runtime: Runtime) -> SubHeap:
    memory, layout = runtime.memory, runtime.layout

    def variable(name: str) -> int:
        where = runtime.gc.variable(memory, layout, name)
        if where == 0:
            raise LayoutError(f"self-check GcDacVars: {name} is null under the workstation GC")
        return where

    return SubHeap(
        index=0,
        address=None,
        generations=_generations(runtime, variable("GenerationTable")),
        ephemeral_segment=memory.pointer(variable("EphemeralHeapSegment")),
        allocated=memory.pointer(variable("AllocAllocated")),
        finalize_queue=memory.pointer(variable("FinalizeQueue")),
    )


def _server_heaps(runtime: Runtime) -> Iterator[SubHeap]:
    memory, layout, gc = runtime.memory, runtime.layout, runtime.gc
    count = memory.i32(gc.variable(memory, layout, "HeapCount"))
    if not 1 <= count <= MAXIMUM_HEAPS:
        raise LimitExceeded(f"the server GC says it has {count} heaps; 1 to {MAXIMUM_HEAPS} are possible")
    array = memory.pointer(gc.variable(memory, layout, "Heaps"))

    def offset(name: str) -> int:
        value = gc.heap_fields[layout.constant(f"GCHeapFieldIndex.{name}")]
        if value == NOT_USED:
            raise LayoutError(f"self-check GcDacVars: a server heap has no {name}")
        return value

    for index in range(count):
        heap = memory.pointer(array + 8 * index)
        yield SubHeap(
            index=index,
            address=heap,
            generations=_generations(runtime, heap + offset("GenerationTable")),
            ephemeral_segment=memory.pointer(heap + offset("EphemeralHeapSegment")),
            allocated=memory.pointer(heap + offset("AllocAllocated")),
            finalize_queue=memory.pointer(heap + offset("FinalizeQueue")),
        )


def _generations(runtime: Runtime, table: int) -> tuple[Generation, ...]:
    memory, layout, gc = runtime.memory, runtime.layout, runtime.gc
    context, start_segment, allocation_start = gc.generation_fields
    pointer = context + layout.offset("Generation", "AllocContextPointer")
    limit = context + layout.offset("Generation", "AllocContextLimit")
    found = []
    for number in range(gc.generation_count):
        at = table + number * gc.generation_size_bytes
        start = None if allocation_start == NOT_USED else memory.pointer(at + allocation_start)
        found.append(
            Generation(number, memory.pointer(at + start_segment), start, memory.pointer(at + pointer), memory.pointer(at + limit))
        )
    return tuple(found)


def _read_segments(memory: Memory, layout: Layout, heap: SubHeap, regions: bool, segments: list[Segment], gaps: list[HeapGap]) -> None:
    """All segments of one heap. Under segments, generations 0 and 1 lie in the ephemeral one, the last in generation 2's list."""
    numbers = range(len(heap.generations)) if regions else range(2, len(heap.generations))
    for number in numbers:
        seen: set[int] = set()
        address = heap.generations[number].start_segment
        while address:
            if address in seen or len(seen) >= MAXIMUM_SEGMENTS:
                gaps.append(HeapGap(address, f"the segment list of generation {number} of heap {heap.index} loops"))
                break
            seen.add(address)
            try:
                segments.append(_segment(memory, layout, heap, number, address, regions))
                address = memory.pointer(address + layout.offset("HeapSegment", "Next"))
            except (Unreadable, Malformed) as error:
                gaps.append(HeapGap(address, f"segment of generation {number} of heap {heap.index}: {error}"))
                break


def _segment(memory: Memory, layout: Layout, heap: SubHeap, number: int, address: int, regions: bool) -> Segment:
    def at(name: str) -> int:
        return memory.pointer(address + layout.offset("HeapSegment", name))

    ephemeral = address == heap.ephemeral_segment
    start, committed, reserved, flags = at("Mem"), at("Committed"), at("Reserved"), at("Flags")
    end = heap.allocated if ephemeral else at("Allocated")
    if not start <= end <= committed <= reserved:
        raise Malformed(f"its bounds are not in order: {start:#x}, {end:#x}, {committed:#x}, {reserved:#x}")
    frozen = bool(flags & layout.constant("HeapSegmentFlags.ReadOnly"))
    kind = "Frozen" if frozen else "Ephemeral" if ephemeral and not regions else KINDS[number]
    generation = None if kind == "Ephemeral" else min(number, 2)
    ranges = _ephemeral_ranges(heap, start, end) if generation is None else ((generation, start, end),)
    committed_start = start & ~(PAGE_BYTES - 1) if regions or frozen else address
    return Segment(address, start, end, committed_start, committed, reserved, kind, generation, heap.index, flags, _with_objects(ranges))


def _ephemeral_ranges(heap: SubHeap, start: int, end: int) -> tuple[tuple[int, int, int], ...]:
    """Generations 2, 1 and 0 lie in this order in an ephemeral segment, each from its allocation start on."""
    first, second = heap.generations[1].allocation_start, heap.generations[0].allocation_start
    if first is None or second is None or not start <= first <= second <= end:
        raise Malformed(f"the ephemeral generations' starts are not in [{start:#x}, {end:#x}]")
    return ((2, start, first), (1, first, second), (0, second, end))


def _with_objects(ranges: tuple[tuple[int, int, int], ...]) -> tuple[tuple[int, int, int], ...]:
    return tuple(entry for entry in ranges if entry[2] > entry[1])


def _check_order(segments: list[Segment]) -> None:
    for before, after in pairwise(segments):
        if before.end > after.start:
            raise Malformed(f"segments {before.address:#x} and {after.address:#x} overlap at {after.start:#x}")
