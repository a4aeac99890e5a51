"""What the runtime owns of the address space: the GC's memory, code, loader heaps."""

import numpy as np

from heaphound.dump.region import CODE, GC_COMMITTED, GC_FREE, GC_USED, Label
from heaphound.errors import HeaphoundError
from heaphound.session import Session

LARGEST_FREE_LIST = 2_000_000  # single free blocks labelled; beyond it the smaller ones count as used, and a note says so
SMALLEST_LABELLED_BYTES = 64


def runtime_labels(session: Session) -> tuple[list[Label], list[str]]:
    """Labelled ranges, the more exact ones first; and one sentence for each kind that could not be read."""
    labels: list[Label] = []
    missing: list[str] = []
    for name, read in (("GC heap", _gc_labels), ("code", _code_labels), ("loader heaps", _loader_labels)):
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
    return []
