"""Whether the heap makes sense, and checksums by which two readers of a dump compare everything in one number."""

from dataclasses import dataclass

from heaphound.address import Address


class Checksum(int):
    """A 64-bit sum over the heap, shown in hexadecimal: numbers of this size lose their last digits in many JSON readers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return hex(self)

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the heap or the file."""

    kind: str
    """``unreadable``, ``bad method table``, ``bad size``, ``reference outside the heap``, ``truncated file`` ..."""
    address: Address
    size_bytes: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Sums over all objects, free blocks included where the field does not say otherwise.

    `walk_checksum` = sum of address*31 + method table*17 + aligned size, modulo 2^64; `reference_checksum` = sum of source*31 + target,
    modulo 2^64, over all non-null references, dependent handles counted as references.
    """

    objects: int
    size_bytes: int
    free_objects: int
    free_bytes: int
    walk_checksum: Checksum
    references: int | None
    """None if references were not followed."""
    reference_checksum: Checksum | None
    problems: tuple[Problem, ...] = ()
