"""Static and thread-static fields that refer to objects."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class StaticRow:
    """One static field and the object in it."""

    declaring_type: str
    """The type that declares it, with its generic arguments."""
    field: str
    slot: Address
    object: Address | None
    """None for null."""
    type: str | None
    """Type of the object; None for null."""
    thread: int | None = None
    """Managed id of the thread for a thread static, else None."""
    retained_bytes: int | None = None
    """What the object alone keeps alive; None for null or if not computed."""


@dataclass(frozen=True, slots=True)
class StaticsResult:
    """Rows in the order asked for."""

    statics: tuple[StaticRow, ...]
    left_out: int = 0
