"""What the runtime owns of the address space: the GC's memory, code, loader heaps."""

import numpy as np

from heaphound.dump.region import CODE, GC_BOOKKEEPING, GC_COMMITTED, GC_FREE, GC_USED, HANDLE_TABLES, LOADER_HEAPS, Label
from heaphound.errors import HeaphoundError
from heaphound.runtime.gc_memory import read_bookkeeping
from heaphound.runtime.handles import handle_segments
from heaphound.runtime.loader_heaps import read_loader_heaps
from heaphound.session import Session

LARGEST_FREE_LIST = 2_000_000  # single free blocks labelled; beyond it the smaller ones count as used, and a note says so
SMALLEST_LABELLED_BYTES = 64
HANDLE_SEGMENT_BYTES = 1 << 16  # HANDLE_SEGMENT_SIZE of src/coreclr/gc/handletablepriv.h


def runtime_labels(session: Session) -> tuple[list[Label], list[str]]:
    """Labelled ranges, the more exact ones first; and one sentence for each kind that could not be read."""
    labels: list[Label] = []
    missing: list[str] = []
    # Loader heaps stand before code: the pages of precode stubs are both.
    kinds = (
        ("GC heap", _gc_labels),
        ("loader heaps", _loader_labels),
        ("code", _code_labels),
        ("GC handles", _handle_labels),
        ("GC tables", _bookkeeping_labels),
    )
    for name, read in kinds:
        try:
            labels.extend(read(session))
        except HeaphoundError as error:
            missing.append(f"{name} cannot be told apart: {error}")
    return labels, missing


def _gc_labels(session: Session) -> list[Label]:
    labels = [Label(start, end, GC_FREE, None) for start, end in _free_blocks(session)]
    labels += [Label(start, end, GC_FREE, "allocation context") for start, end in session.gc_heap.allocation_contexts]
    for segment in session.gc_heap.segments:
        labels.append(Label(segment.start, segment.end, GC_USED, segment.kind))
        labels.append(Label(segment.committed_start, segment.committed_end, GC_COMMITTED, segment.kind))
    return labels


def _free_blocks(session: Session) -> list[tuple[int, int]]:
    table = session.table
    if table.free_type_index is None:
        return []
    blocks = table.instances(table.free_type_index)
    sizes = table.sizes_of(blocks)
    chosen = np.flatnonzero(sizes >= SMALLEST_LABELLED_BYTES) if len(blocks) > LARGEST_FREE_LIST else np.arange(len(blocks))
    starts = table.addresses_of(blocks[chosen])
    return list(zip(starts.tolist(), (starts + sizes[chosen]).tolist(), strict=True))


def _code_labels(session: Session) -> list[Label]:
    sections = session.code.sections
    return [Label(section.start, section.end, CODE, section.kind) for section in sections if section.kind != "ready-to-run"]


def _loader_labels(session: Session) -> list[Label]:
    found = read_loader_heaps(session.runtime, session.module_list.modules)
    return [Label(start, end, LOADER_HEAPS, heap.kind) for heap in found.heaps for start, end in heap.blocks]


def _handle_labels(session: Session) -> list[Label]:
    return [Label(segment, segment + HANDLE_SEGMENT_BYTES, HANDLE_TABLES, None) for segment in handle_segments(session.runtime)]


def _bookkeeping_labels(session: Session) -> list[Label]:
    """The tables; and, where the heap is made of regions, what is committed of the reservation and in no region: regions in free lists."""
    tables = read_bookkeeping(session.runtime)
    labels = [Label(table.start, table.end, GC_BOOKKEEPING, None) for table in tables]
    if session.gc_heap.regions:
        labels += [Label(table.lowest, table.highest, GC_COMMITTED, "free regions") for table in tables[:1]]
    return labels
