"""Whether the file is as long as its own headers say, and what is missing if not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heaphound.dump.split_parts import JOIN

if TYPE_CHECKING:
    from heaphound._core import Image


@dataclass(frozen=True, slots=True)
class Truncation:
    """A file that ends before its last segment does. Addresses past the end are `Unreadable`, everything else stands.

    `first_missing_address` is the lowest address that a segment promised and the file lacks; `segments_cut` counts the
    segments that lack some or all bytes; `missing_bytes` is their sum. `next_part` is the name of a file that may hold the rest.
    """

    expected_size_bytes: int
    actual_size_bytes: int
    first_missing_address: int
    missing_bytes: int
    segments_cut: int
    next_part: str | None = None

    def __str__(self) -> str:
        share = 100 * self.actual_size_bytes / self.expected_size_bytes
        split = f"; {self.next_part} may be its next part: {JOIN}" if self.next_part else ""
        return (
            f"the file is cut short: {self.actual_size_bytes} of {self.expected_size_bytes} bytes ({share:.1f} %), "
            f"{self.segments_cut} segments lack bytes, the first at {self.first_missing_address:#x}{split}"
        )


def find_truncation(image: Image, next_part: str | None = None) -> Truncation | None:
    """None for a whole file. `next_part`: the name of a file beside it that may hold the rest."""
    end = image.file_size_bytes
    missing = [
        (address + max(0, end - offset), min(size, offset + size - end))
        for address, size, _, offset, _ in image.segments
        if size and offset + size > end
    ]
    if not missing:
        return None
    return Truncation(
        expected_size_bytes=image.expected_size_bytes,
        actual_size_bytes=end,
        first_missing_address=min(address for address, _ in missing),
        missing_bytes=sum(size for _, size in missing),
        segments_cut=len(missing),
        next_part=next_part,
    )
