"""Roots: what keeps objects alive from outside the heap."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class FrameRef:
    """The stack frame a root lies in."""

    ip: Address
    sp: Address
    method: str | None
    """With the generic arguments of the call where the frame tells them; of a Frame of the runtime the method that it stands for."""
    kind: str = "managed"
    """As `FrameRow.kind`: ``managed``, ``funclet``, or the class of the runtime's own Frame."""
    il_offset: int | None = None
    file: str | None = None
    line: int | None = None
    variable: str | None = None
    """The argument or local that the slot belongs to, such as ``this`` or ``orders``; None where none does, or nothing names it."""


@dataclass(frozen=True, slots=True)
class RootRow:
    """One root."""

    kind: str
    """As `FindingRoot.kind`: ``static-field``, ``strong-handle``, ``stack`` ..."""
    address: Address | None
    """The slot; for a root in a register where an inner frame saved it, None if it is still in the CPU."""
    object: Address
    type: str
    interior: bool = False
    pinned: bool = False
    thread: int | None = None
    frame: FrameRef | None = None
    register: str | None = None
    offset: int | None = None
    """In bytes from the register, for slots of a frame; None for a reference in the register itself."""
    exact: bool = True
    """False for a word of a stack that merely looks like a reference."""
    declaring_type: str | None = None
    """Of a static field."""
    field: str | None = None
    os_id: int | None = None
    """Of the thread, for roots on a stack."""


@dataclass(frozen=True, slots=True)
class RootKindRow:
    """How many roots of one kind there are, how many of them are exact, and how many different objects they hold."""

    kind: str
    count: int
    exact: int
    objects: int


@dataclass(frozen=True, slots=True)
class RootsResult:
    """All roots, or those of one kind or thread."""

    roots: tuple[RootRow, ...]
    left_out: int = 0
    kinds: tuple[RootKindRow, ...] = ()
    """Of all that were asked for, those that were left out too."""
