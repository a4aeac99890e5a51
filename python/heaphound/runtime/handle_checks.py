"""Self-checks on the table of GC handles: its maps, its kinds, and the handles that every process has."""

from struct import unpack

import numpy as np
import numpy.typing as npt

from heaphound.errors import Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.handles import HandleTable

WITH_A_WORD = ("Variable", "Dependent", "SizedRef", "WeakWinRT", "WeakInteriorPointer", "CrossReference")  # HNDF_EXTRAINFO


def check_handles(subject: CheckSubject) -> None:
    """Each segment of the handle table names its table, there are strong handles, and what handles hold lies in the heap."""
    handles = subject.handles
    expect(not handles.gaps, f"HandleTable: {handles.gaps[0].reason} at {handles.gaps[0].address:#x}" if handles.gaps else "")
    expect(bool(handles.of_kind("Strong").any()), "HandleTable: there is no strong handle, and every process has some")
    _check_handle_map(subject)
    held = np.concatenate([handles.objects[~handles.of_kind("WeakInteriorPointer")], handles.dependent_pairs()[1]])
    outside = _outside(held, subject.heap.object_ranges())
    expect(outside == 0, f"HandleTable: {outside} of {len(held)} handles hold what is no object of the heap")
    _check_thread_handles(subject, handles)


def _check_handle_map(subject: CheckSubject) -> None:
    """The first map says itself how many buckets it has (HandleTableMap::dwMaxIndex, src/coreclr/gc/objecthandle.h)."""
    layout = subject.layout
    first = subject.pointer(subject.runtime.gc.address, "GcDacVars", "HandleTableMap")
    held, known = subject.memory.u32(first + layout.offset("HandleTableMap", "MaxIndex")), layout.constant("HandleTable.BucketsPerMap")
    expect(held == known, f"HandleTable.BucketsPerMap: {known}, the first map has {held}")
    bucket = subject.memory.pointer(subject.pointer(first, "HandleTableMap", "Buckets"))
    table = subject.memory.pointer(subject.pointer(bucket, "HandleTableBucket", "Table"))
    _check_handle_kinds(subject, table)


def _check_handle_kinds(subject: CheckSubject, table: int) -> None:
    """A table says how many kinds of handles there are, and of which each has a word more (s_rgTypeFlags, objecthandle.cpp)."""
    memory, layout = subject.memory, subject.layout
    kinds = layout.handle_kinds
    try:
        count = memory.u32(table + layout.offset("HandleTable", "TypeCount"))
        flags = unpack(f"<{len(kinds)}I", memory.bytes(table + layout.offset("HandleTable", "TypeFlags"), 4 * len(kinds)))
    except Unreadable:
        subject.not_exercised("handle_kinds")  # a small dump has of a table what leads to its handles
        return
    expect(count == len(kinds), f"handle_kinds: {len(kinds)}, and the table has {count}")
    for kind, flag in zip(kinds, flags, strict=True):
        expect(flag == (kind in WITH_A_WORD), f"handle_kinds: the flags of {kind} are {flag:#x}")


def _check_thread_handles(subject: CheckSubject, handles: HandleTable) -> None:
    """A thread's handle of its managed object is in the table, a weak one; a strong one holds the same (Thread::GetExposedObject)."""
    kinds = dict(zip(handles.addresses.tolist(), handles.kinds.tolist(), strict=True))
    objects = [thread.managed_object for thread in subject.threads if thread.managed_object is not None]
    slots = [subject.pointer(thread.address, "Thread", "GCHandle") for thread in subject.threads if thread.managed_object is not None]
    absent = [slot for slot in slots if slot not in kinds]
    expect(not absent, f"TableSegment.Values: {len(absent)} of {len(slots)} handles of threads are not in the table")
    found = {handles.kind_names[kinds[slot]] for slot in slots}
    expect(found <= {"WeakShort"}, f"TableSegment.BlockType: threads have handles of kind {', '.join(sorted(found))}, not WeakShort")
    strong = set(handles.objects[handles.of_kind("Strong")].tolist())
    expect(not objects or bool(strong.intersection(objects)), "TableSegment.BlockType: no thread's managed object has a strong handle")


def _outside(addresses: npt.NDArray[np.uint64], ranges: list[tuple[int, int]]) -> int:
    """How many addresses lie in none of the ranges, which ascend."""
    if not ranges:
        return len(addresses)
    bounds = np.array(ranges, dtype=np.uint64)
    place = np.searchsorted(bounds[:, 0], addresses, side="right")
    inside = (place > 0) & (addresses < bounds[np.maximum(place, 1) - 1, 1])
    return int((~inside).sum())
