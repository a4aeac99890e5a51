"""Roots: what keeps objects alive from outside the heap."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class FrameRef:
    """The stack frame a root lies in."""

    ip: Address
    sp: Address
    method: str | None


@dataclass(frozen=True, slots=True)
class RootRow:
    """One root."""

    kind: str
    """As `FindingRoot.kind`: ``static-field``, ``strong-handle``, ``stack`` ..."""
    address: Address | None
    """The slot; None for a root in a register."""
    object: Address
    type: str
    interior: bool = False
    pinned: bool = False
    thread: int | None = None
    frame: FrameRef | None = None
    register: str | None = None
    offset: int | None = None
    """From the register, for slots of a frame."""
    exact: bool = True
    """False for a word of a stack that merely looks like a reference."""
    declaring_type: str | None = None
    """Of a static field."""
    field: str | None = None


@dataclass(frozen=True, slots=True)
class RootsResult:
    """All roots, or those of one kind."""

    roots: tuple[RootRow, ...]
    left_out: int = 0
