"""Arrays in which the runtime keeps interned strings."""

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.subject import Subject
from heaphound.graph.object_graph import NO_OBJECT
from heaphound.runtime.roots import PINNED_HANDLE, STRONG_HANDLE

ARRAY = "System.Object[]"


def interning_arrays(subject: Subject) -> NDArray[np.uint32]:
    """Object[] that a strong or pinned handle refers to and that lie where the runtime allocates such, none where that is not known.

    The runtime keeps interned strings, literals and (before 9.0) the slots of statics in them: on the pinned object heap, on the large
    object heap where there is none (3.1; src/coreclr/vm/appdomain.cpp, PinnedHeapHandleBucket). Statics are roots of their own, so that
    what only such an array dominates is no static.
    """
    kinds = subject.roots.kinds
    rooted = subject.graph.table.indices_of(np.unique(subject.roots.objects[(kinds == STRONG_HANDLE) | (kinds == PINNED_HANDLE)]))
    tables = [subject.instances(kind.method_table) for kind in subject.types_named(ARRAY)]
    if not tables or subject.observed is None:
        return rooted[:0]
    found = np.intersect1d(rooted[rooted != NO_OBJECT], np.concatenate(tables))
    segments = subject.observed.heap().segments
    pinned = [segment for segment in segments if segment.generation == "poh"]
    places = pinned or [segment for segment in segments if segment.generation == "loh"]
    addresses = subject.graph.table.addresses_of(found)
    inside = np.zeros(len(found), dtype=bool)
    for segment in places:
        inside |= (addresses >= np.uint64(segment.start)) & (addresses < np.uint64(segment.end))
    return found[inside]
