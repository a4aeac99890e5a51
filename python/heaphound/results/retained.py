"""The dominator tree: who alone keeps how much alive."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """An object and what would be freed if it alone became unreachable: exact, 64-bit."""

    address: Address
    type: str
    size_bytes: int
    retained_bytes: int
    retained_objects: int | None = None
    held_by: str | None = None
    """The root that holds it, in words, for the owners at the top; None if none was named."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Children of one owner taken together by type."""

    type: str
    count: int
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class RetainedResult:
    """Without an address the biggest owners of the heap, else the one object, its chain of owners above, and what it owns below."""

    total_bytes: int
    """All bytes that roots reach."""
    owners: tuple[OwnerRow, ...]
    """Ordered by retained bytes: the top of the tree, or the children of `object`."""
    object: OwnerRow | None = None
    chain: tuple[OwnerRow, ...] = ()
    """Immediate dominator first, the outermost last."""
    groups: tuple[GroupRow, ...] = ()
    left_out: int = 0
    unreachable_bytes: int = 0
