"""The GC handle table."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class HandleRow:
    """One handle. `dependent` is the secondary object of a dependent handle, else None."""

    address: Address
    kind: str
    object: Address | None
    """None for a handle that holds null."""
    type: str | None
    dependent: Address | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class HandleKindRow:
    """Handles of one kind."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class HandleStatRow:
    """Handles of one kind that hold objects of one type."""

    kind: str
    type: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HandlesResult:
    """Handles, and counts of all of them by kind (by type too when statistics were asked for)."""

    handles: tuple[HandleRow, ...]
    kinds: tuple[HandleKindRow, ...] = ()
    statistics: tuple[HandleStatRow, ...] | None = None
    left_out: int = 0
