"""Where all bytes of a dump belong: each one to exactly one category, so that the sums equal the file's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import pairwise

from heaphound.dump.core import Core
from heaphound.dump.native_ranges import native_ranges
from heaphound.dump.ranges import resident_ranges
from heaphound.dump.region import ANONYMOUS, Label


@dataclass(frozen=True, slots=True)
class AddressRange:
    """One stretch of the dump's memory. All of it is in the dump: `resident_bytes` is `end - start`."""

    start: int
    end: int
    category: str
    detail: str | None

    @property
    def resident_bytes(self) -> int:
        """Bytes of it that the dump holds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Category:
    """All ranges of one category together."""

    name: str
    resident_bytes: int
    range_count: int


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """The breakdown. `resident_bytes` is what the core file holds of the process's memory and equals the categories' sum.

    That is not the process's resident set: createdump writes pages that were never touched, and leaves out pages that
    were swapped for a file's. `categories` are largest first, `ranges` ascending.
    """

    resident_bytes: int
    categories: list[Category]
    ranges: list[AddressRange]

    def category_bytes(self, name: str) -> int:
        """The bytes of one category; 0 when nothing belongs to it."""
        return sum(category.resident_bytes for category in self.categories if category.name == name)

    def moved(self, source: str, target: str, size_bytes: int, range_count: int) -> AddressSpace:
        """A part of one category told apart by amount alone, where its ranges are too many to list; `ranges` stay as they are.

        Never more than `source` has: what lies in it and is not in the dump cannot be moved.
        """
        size_bytes = min(size_bytes, self.category_bytes(source))
        totals = {category.name: (category.resident_bytes, category.range_count) for category in self.categories}
        if not size_bytes:
            return self
        size, count = totals[source]
        totals[source] = (size - size_bytes, count)
        size, count = totals.get(target, (0, 0))
        totals[target] = (size + size_bytes, count + range_count)
        return replace(self, categories=_ordered(totals))


def account(core: Core, labels: Sequence[Label] = ()) -> AddressSpace:
    """Give every byte that the core file holds to one category.

    `labels` (the runtime's knowledge: GC heap, code, loader heaps, ...) take precedence over what the file itself tells
    (images, files, stacks, native heap), an earlier label over a later one; parts that the dump does not hold count
    nothing. What nobody claims is `anonymous`. Cost: reads a few words of each mapping, nothing of the heap's size.
    """
    resident = resident_ranges(core.image)
    ranges: list[AddressRange] = []
    for start, end, label in _partition([*labels, *native_ranges(core)], list(resident)):
        category, detail = (ANONYMOUS, None) if label is None else (label.category, label.detail)
        last = ranges[-1] if ranges else None
        if last is not None and last.end == start and (last.category, last.detail) == (category, detail):
            ranges[-1] = AddressRange(last.start, end, category, detail)
        else:
            ranges.append(AddressRange(start, end, category, detail))
    totals: dict[str, tuple[int, int]] = {}
    for piece in ranges:
        size, count = totals.get(piece.category, (0, 0))
        totals[piece.category] = (size + piece.resident_bytes, count + 1)
    return AddressSpace(resident.size_bytes, _ordered(totals), ranges)


def _ordered(totals: dict[str, tuple[int, int]]) -> list[Category]:
    categories = [Category(name, size, count) for name, (size, count) in totals.items()]
    return sorted(categories, key=lambda category: (-category.resident_bytes, category.name))


def _partition(labels: Sequence[Label], resident: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, Label | None]]:
    """Cut `resident` at every label's border; each piece with the first label (in list order) that covers it."""
    borders = {address for start, end in resident for address in (start, end)}
    order = sorted((label.start, label.end, priority) for priority, label in enumerate(labels) if label.start < label.end)
    borders.update(label.start for label in labels)
    borders.update(label.end for label in labels)
    points = sorted(borders)
    active: list[tuple[int, int]] = []  # (priority, end): the best label on top; ended ones are dropped when they surface
    following, held = 0, iter(resident)
    current = next(held, None)
    for start, end in pairwise(points):
        while following < len(order) and order[following][0] <= start:
            heappush(active, (order[following][2], order[following][1]))
            following += 1
        while active and active[0][1] <= start:
            heappop(active)
        while current is not None and current[1] <= start:
            current = next(held, None)
        if current is not None and current[0] <= start:
            yield start, end, labels[active[0][0]] if active else None
