"""The GC handle table: every handle that holds an object, its kind, and the secondary object of a dependent handle."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.heap import MAXIMUM_HEAPS
from heaphound.runtime.runtime import Runtime

NO_BLOCK = 0xFF  # BLOCK_INVALID and TYPE_INVALID of src/coreclr/gc/handletablepriv.h
MAXIMUM_MAPS = 65_536  # maps grow by chaining, each holding ten buckets
MAXIMUM_SEGMENTS = 4_194_304  # 7,680 handles each: 32 billion handles
DEPENDENT = "Dependent"

U64s = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Handle:
    """One handle. `address` is the slot, `secondary` what a dependent handle keeps alive as long as `object` lives (None: nothing)."""

    address: int
    kind: str
    object: int
    secondary: int | None


@dataclass(frozen=True, slots=True)
class HandleGap:
    """Handles that could not be read: where, and why."""

    address: int
    reason: str


@dataclass(frozen=True)
class HandleTable:
    """All handles that hold an object, as parallel arrays in table order. `kinds` index `kind_names`; `secondaries` are 0 where none.

    Handles that hold null are not told from free slots and are not here.
    """

    kind_names: tuple[str, ...]
    addresses: U64s
    kinds: npt.NDArray[np.uint8]
    objects: U64s
    secondaries: U64s
    gaps: tuple[HandleGap, ...]

    def __len__(self) -> int:
        return len(self.addresses)

    def rows(self) -> Iterator[Handle]:
        """The handles one by one."""
        columns = (self.addresses.tolist(), self.kinds.tolist(), self.objects.tolist(), self.secondaries.tolist())
        for address, kind, target, secondary in zip(*columns, strict=True):
            yield Handle(address, self.kind_names[kind], target, secondary or None)

    def of_kind(self, kind: str) -> npt.NDArray[np.bool_]:
        """Mask of the handles of one kind; none set where this runtime has no such kind."""
        if kind not in self.kind_names:
            return np.zeros(len(self), dtype=np.bool_)
        mask: npt.NDArray[np.bool_] = self.kinds == self.kind_names.index(kind)
        return mask

    def dependent_pairs(self) -> tuple[U64s, U64s]:
        """(objects, secondaries) of the dependent handles that have a secondary: edges of the heap's graph."""
        mask = self.of_kind(DEPENDENT) & (self.secondaries != 0)
        return self.objects[mask], self.secondaries[mask]


_NOTHING = np.zeros(0, np.uint64)
NO_HANDLES = HandleTable((), _NOTHING, np.zeros(0, np.uint8), _NOTHING, _NOTHING, ())


def read_handles(runtime: Runtime) -> list[Handle]:
    """Every handle that holds an object, in table order. Raises as `read_handle_table` does."""
    return list(read_handle_table(runtime).rows())


def read_handle_table(runtime: Runtime) -> HandleTable:
    """The handle table in bulk; costs one read per 7,680 slots.

    Raises LayoutError when a segment of the table does not name its table (self-check of the layout), Unreadable when the dump has no
    handle table. A segment that breaks off is a gap. Structure: src/coreclr/gc/handletablepriv.h, objecthandle.h.
    """
    memory, layout = runtime.memory, runtime.layout
    gaps: list[HandleGap] = []
    none = np.zeros(0, np.uint64)
    parts: list[tuple[U64s, npt.NDArray[np.uint8], U64s, U64s]] = [(none, np.zeros(0, np.uint8), none, none)]
    for table in _tables(runtime):
        for segment in _segments(memory, layout, table, gaps):
            parts.append(_read_segment(memory, layout, segment, gaps))
    return HandleTable(
        kind_names=layout.handle_kinds,
        addresses=np.concatenate([part[0] for part in parts]),
        kinds=np.concatenate([part[1] for part in parts]),
        objects=np.concatenate([part[2] for part in parts]),
        secondaries=np.concatenate([part[3] for part in parts]),
        gaps=tuple(gaps),
    )


def handle_segments(runtime: Runtime) -> list[int]:
    """Addresses of all segments of all tables, each 64 KiB of its own mapping (HANDLE_SEGMENT_SIZE). Raises as `read_handle_table`."""
    return [segment for table in _tables(runtime) for segment in _segments(runtime.memory, runtime.layout, table, [])]


def _tables(runtime: Runtime) -> Iterator[int]:
    """Every HandleTable: a chain of maps, per map ten buckets, per bucket one table a heap slot. LayoutError if a first one is none."""
    memory, layout = runtime.memory, runtime.layout
    current = memory.pointer(runtime.gc.address + layout.offset("GcDacVars", "HandleTableMap"))
    for _ in range(MAXIMUM_MAPS):
        if current == 0:
            return
        buckets = memory.pointer(current + layout.offset("HandleTableMap", "Buckets"))
        for index in range(layout.constant("HandleTable.BucketsPerMap") if buckets else 0):
            bucket = memory.pointer(buckets + 8 * index)
            if bucket:
                yield from _bucket_tables(runtime, memory.pointer(bucket + layout.offset("HandleTableBucket", "Table")))
        current = memory.pointer(current + layout.offset("HandleTableMap", "Next"))
    raise LimitExceeded(f"the handle table has more than {MAXIMUM_MAPS} maps")


def _bucket_tables(runtime: Runtime, array: int) -> Iterator[int]:
    """The tables of one bucket. The server GC has one for each processor, and no variable says how many.

    With dynamic heap counts (DATAS, default of 9.0's server GC) there are fewer heaps than tables, and handles stay in the tables of
    heaps that are gone: so every entry that is a table counts, not the first GcDacVars.HeapCount. ClrMD stops there and misses them.
    """
    memory, layout = runtime.memory, runtime.layout
    for slot in range(MAXIMUM_HEAPS if runtime.gc.server else 1):
        try:
            table = memory.pointer(array + 8 * slot)
            first = memory.pointer(table + layout.offset("HandleTable", "SegmentList"))
            owner = memory.pointer(first + layout.offset("TableSegment", "HandleTable"))
        except Unreadable as error:
            if slot == 0:
                raise LayoutError(f"self-check HandleTable: no table at {array:#x}: {error}") from error
            table = owner = 0
        if table == 0 or owner != table:
            if slot == 0:
                raise LayoutError(f"self-check HandleTable: the first segment of the table at {array:#x} does not name it")
            return
        yield table


def _segments(memory: Memory, layout: Layout, table: int, gaps: list[HandleGap]) -> Iterator[int]:
    segment = memory.pointer(table + layout.offset("HandleTable", "SegmentList"))
    seen: set[int] = set()
    while segment:
        if segment in seen or len(seen) >= MAXIMUM_SEGMENTS:
            raise Malformed(f"the segments of handle table {table:#x} loop at {segment:#x}")
        seen.add(segment)
        try:
            if memory.pointer(segment + layout.offset("TableSegment", "HandleTable")) != table:
                raise Malformed(f"handle table segment {segment:#x} does not belong to table {table:#x}")
            following = memory.pointer(segment + layout.offset("TableSegment", "NextSegment"))
        except (Unreadable, Malformed) as error:
            gaps.append(HandleGap(segment, str(error)))
            return
        yield segment
        segment = following


def _read_segment(memory: Memory, layout: Layout, segment: int, gaps: list[HandleGap]) -> tuple[U64s, npt.NDArray[np.uint8], U64s, U64s]:
    """Handles of one segment. The type is a block's, so 64 handles share it; a block of user data is the dependents' secondaries."""
    blocks, per_block = layout.constant("HandleTable.BlocksPerSegment"), layout.constant("HandleTable.HandlesPerBlock")
    types = np.frombuffer(memory.bytes(segment + layout.offset("TableSegment", "BlockType"), blocks), np.uint8)
    user_blocks = np.frombuffer(memory.bytes(segment + layout.offset("TableSegment", "UserData"), blocks), np.uint8)
    start = segment + layout.offset("TableSegment", "Values")
    present = memory.readable_bytes(start, 8 * blocks * per_block) // (8 * per_block)
    values = np.zeros((blocks, per_block), np.uint64)
    values[:present] = np.frombuffer(memory.bytes(start, 8 * present * per_block), np.uint64).reshape(present, per_block)
    is_handle = types < len(layout.handle_kinds)
    if is_handle[present:].any():
        gaps.append(HandleGap(start + 8 * present * per_block, "the dump ends before the last block of handles in use"))
    secondaries, lacking = _secondaries(values, types, user_blocks, layout.handle_kinds)
    gaps.extend(HandleGap(start + 8 * per_block * row, "a block of dependent handles has no block of secondaries") for row in lacking)
    mask = (values != 0) & is_handle[:, None]
    addresses = np.uint64(start) + np.arange(blocks * per_block, dtype=np.uint64).reshape(blocks, per_block) * np.uint64(8)
    kinds = np.broadcast_to(types[:, None], values.shape)
    return addresses[mask], kinds[mask], values[mask], secondaries[mask]


def _secondaries(
    values: U64s, types: npt.NDArray[np.uint8], user_blocks: npt.NDArray[np.uint8], kinds: tuple[str, ...]
) -> tuple[U64s, list[int]]:
    """Secondary of each slot, 0 where none; and the blocks of dependent handles in use that have no block of secondaries."""
    secondaries = np.zeros_like(values)
    if DEPENDENT not in kinds:
        return secondaries, []
    dependent, has_block = types == kinds.index(DEPENDENT), user_blocks < len(types)
    rows = np.flatnonzero(dependent & has_block)
    secondaries[rows] = values[user_blocks[rows]]
    return secondaries, np.flatnonzero(dependent & ~has_block & (values != 0).any(axis=1)).tolist()
