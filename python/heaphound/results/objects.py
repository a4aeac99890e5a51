"""Addresses of objects, filtered."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One object."""

    address: Address
    type: str
    method_table: Address
    size_bytes: int
    generation: str | None = None
    retained_bytes: int | None = None
    """None if not computed."""


@dataclass(frozen=True, slots=True)
class ObjectsResult:
    """Rows in the order asked for; `count` and `size_bytes` are of all that match, also of those the limit left out."""

    objects: tuple[ObjectRow, ...]
    count: int
    size_bytes: int
    left_out: int = 0
