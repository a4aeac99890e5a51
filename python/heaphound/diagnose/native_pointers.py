"""Objects whose fields point to native memory: which types keep what malloc gave out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.subject import Subject
from heaphound.errors import Malformed, Unreadable
from heaphound.results.memory import MemoryRange
from heaphound.runtime.types import Type

FIELDS_START = 8
MINIMUM_COUNT = 100
TYPES_LOOKED_AT = 500
POINTERS = ("System.IntPtr", "System.UIntPtr", "nint", "nuint")
MOST = 0.5  # of a field's values must lie there
CHUNK_FLAGS = np.uint64(7)
GLIBC = "native-glibc-"


@dataclass(frozen=True, slots=True)
class PointingField:
    """A field of a type whose objects point to native memory: `count` of them to different blocks, together `size_bytes` of malloc.

    `size_bytes` is None where the allocator does not say in front of a block how long it is (not glibc's).
    """

    type: Type
    field: str
    count: int
    size_bytes: int | None


def pointing_fields(subject: Subject, ranges: Sequence[MemoryRange]) -> list[PointingField]:
    """Fields of types with many objects that point into these ranges, those with most bytes first."""
    starts = np.array([one.start for one in ranges], dtype=np.uint64)
    ends = np.array([one.end for one in ranges], dtype=np.uint64)
    sized = np.array([one.kind.startswith(GLIBC) for one in ranges], dtype=bool)
    table = subject.graph.table
    most = np.argsort(table.type_counts)[::-1][:TYPES_LOOKED_AT].tolist()
    found = [
        pointing
        for kind in most
        if table.type_counts[kind] >= MINIMUM_COUNT
        for name, offset in _pointer_fields(subject, int(table.method_tables[kind]))
        if (pointing := _pointing(subject, kind, name, offset, starts, ends, sized)) is not None
    ]
    return sorted(found, key=lambda one: -(one.size_bytes or 0))


def _pointer_fields(subject: Subject, method_table: int) -> Iterator[tuple[str, int]]:
    try:
        kind = subject.types.type(method_table)
        if kind.is_array or kind.is_string or kind.is_free or kind.is_delegate:
            return
        for field in kind.fields:
            if not field.is_static and field.offset is not None and (field.type_name in POINTERS or field.type_name.endswith("*")):
                yield field.name, FIELDS_START + field.offset
    except (Unreadable, Malformed):
        return  # a type that cannot be read names no field


def _pointing(
    subject: Subject,
    kind: int,
    name: str,
    offset: int,
    starts: NDArray[np.uint64],
    ends: NDArray[np.uint64],
    sized: NDArray[np.bool_],
) -> PointingField | None:
    image = subject.runtime.memory.image
    members = subject.graph.table.instances(kind)
    values, present = image.gather_u64(subject.graph.table.addresses_of(members) + np.uint64(offset))
    values = values[present & (values != 0)]
    at = np.searchsorted(starts, values, side="right").astype(np.int64) - 1
    inside = (at >= 0) & (values < ends[np.maximum(at, 0)])
    if inside.sum() < max(MINIMUM_COUNT, MOST * len(members)):
        return None
    pointers, first = np.unique(values[inside], return_index=True)
    places = at[inside][first]
    owner = subject.types.type(int(subject.graph.table.method_tables[kind]))
    if not sized[places].all():
        return PointingField(owner, name, len(pointers), None)
    sizes, there = image.gather_u64(pointers - np.uint64(8))
    sizes = sizes & ~CHUNK_FLAGS
    sane = there & (sizes >= 32) & (sizes <= ends[places] - pointers + np.uint64(16))
    return PointingField(owner, name, len(pointers), int(sizes[sane].sum()) if sane.all() else None)
