"""Address ranges as a sorted, disjoint list: what is resident, what overlaps what, by how many bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heaphound._core import Image

Range = tuple[int, int]  # [start, end)


class Ranges:
    """A set of addresses: overlapping and adjacent input ranges become one."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(ranges):
            if start >= end:
                continue
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._starts, self._ends, strict=True))

    @property
    def size_bytes(self) -> int:
        """The sum of all ranges."""
        return sum(self._ends) - sum(self._starts)

    def within(self, start: int, end: int) -> Iterator[Range]:
        """The parts of [start, end) that are in the set, ascending."""
        index = bisect_right(self._ends, start)
        while start < end and index < len(self._starts) and self._starts[index] < end:
            yield max(start, self._starts[index]), min(end, self._ends[index])
            index += 1

    def overlap(self, start: int, end: int) -> int:
        """How many bytes of [start, end) are in the set."""
        return sum(stop - begin for begin, stop in self.within(start, end))

    def covers(self, start: int, end: int) -> bool:
        """Whether all of [start, end) is in the set."""
        return self.overlap(start, end) >= end - start


def resident_ranges(image: Image) -> Ranges:
    """The addresses whose bytes the core file itself holds; what was cut off, or attached from elsewhere, is not in it."""
    file_size = image.file_size_bytes
    return Ranges((address, address + max(0, min(size, file_size - offset))) for address, size, _, offset, _ in image.segments)
