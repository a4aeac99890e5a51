"""Where musl's malloc (mallocng, from 1.2.1 on) keeps the native heap, known by pointers that lead both ways.

src/malloc/mallocng/meta.h of musl, 64-bit: a group of slots begins with the address of its `meta` {prev, next, mem,
avail_mask, freed_mask, last_idx:5 freeable:1 sizeclass:6 maplen:52}, whose `mem` is the group; `maplen` is its length in
pages where the group is a mapping of its own, 0 where it lies in a slot of a larger one. Metas lie in areas of a page each,
{check, next, nslots, metas}, which begin with one secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.dump.memory import Memory
from heaphound.dump.ranges import Range

_PAGE = 4096
_AREA_HEADER, _META_BYTES = 24, 40
_MEM, _BITS = 16, 32
_MAPLEN_SHIFT, _SIZE_CLASS_SHIFT, _SIZE_CLASS_MASK = 12, 6, 0x3F
_OWN_MAPPING = 63  # the size class of an allocation that has a mapping of its own
_USER_SPACE = 1 << 47


@dataclass(frozen=True, slots=True)
class MuslHeap:
    """What was found: `groups` with slots for many allocations, `large` allocations, each a mapping; `areas` of metas, a page each."""

    groups: list[Range]
    large: list[Range]
    areas: list[Range]


def find_musl_heap(memory: Memory, anonymous: Iterable[Range]) -> MuslHeap:
    """The groups that begin at a page of the `anonymous` ranges, ascending; all lists are empty under another malloc. O(pages).

    Groups inside slots of others are part of those. Memory of libraries that musl gave to malloc (the unused ends of their data) is not
    in anonymous ranges and not found.
    """
    found = MuslHeap([], [], [])
    areas: set[int] = set()
    for start, end in anonymous:
        pages = np.arange(-(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE, _PAGE, dtype=np.uint64)
        pages, metas = _groups(memory, pages)
        bits, present = memory.image.gather_u64(metas + np.uint64(_BITS))
        for page, meta, word in zip(pages[present].tolist(), metas[present].tolist(), bits[present].tolist(), strict=True):
            length = (word >> _MAPLEN_SHIFT) * _PAGE
            if 0 < length <= end - page:
                large = word >> _SIZE_CLASS_SHIFT & _SIZE_CLASS_MASK == _OWN_MAPPING
                (found.large if large else found.groups).append((page, page + length))
                areas.add(meta & ~(_PAGE - 1))
    found.areas.extend((area, area + _PAGE) for area in _of_one_secret(memory, areas))
    return found if found.areas else MuslHeap([], [], [])


def _groups(memory: Memory, pages: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Those of the pages that begin with the address of a meta that leads back, and their metas."""
    metas, present = memory.image.gather_u64(pages)
    slot = metas % np.uint64(_PAGE)
    fits = present & (metas < np.uint64(_USER_SPACE)) & (slot >= np.uint64(_AREA_HEADER))
    fits &= (slot - np.uint64(_AREA_HEADER)) % np.uint64(_META_BYTES) == 0
    pages, metas = pages[fits], metas[fits]
    back, present = memory.image.gather_u64(metas + np.uint64(_MEM))
    same = present & (back == pages)
    return pages[same], metas[same]


def _of_one_secret(memory: Memory, areas: set[int]) -> list[int]:
    """The areas, if all begin with the same word, not zero: the secret that a process draws at its first allocation. Else none."""
    ordered = sorted(areas)
    secrets, present = memory.image.gather_u64(np.array(ordered, dtype=np.uint64))
    one = len(ordered) > 0 and bool(present.all()) and secrets[0] != 0 and bool((secrets == secrets[0]).all())
    return ordered if one else []
