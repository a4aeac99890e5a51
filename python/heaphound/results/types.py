"""Objects counted by type, or by a coarser group."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class TypeRow:
    """One type (or namespace, assembly, generation) on the heap."""

    method_table: Address | None
    """None for groups that are no single type."""
    name: str
    count: int
    size_bytes: int
    """Own size of all instances together, without what they refer to."""
    retained_bytes: int | None = None
    """What would be freed if all instances of this type went away together; None if not computed."""
    module: str | None = None


@dataclass(frozen=True, slots=True)
class TypesTotal:
    """Sum over all rows, also over those that a limit left out."""

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TypesResult:
    """Rows in the order asked for; `left_out` says how many rows the limit cut."""

    types: tuple[TypeRow, ...]
    total: TypesTotal
    by: str = "type"
    left_out: int = 0
