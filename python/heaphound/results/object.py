"""One object looked at from all sides."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from heaphound.address import Address

AbsenceKind = Literal["unreadable", "malformed", "not in this runtime", "not captured", "not available"]


@dataclass(frozen=True, slots=True)
class Absence:
    """A value that is not known, and why; never shown as zero or null."""

    kind: AbsenceKind
    reason: str
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that refers to an object."""

    address: Address
    type: str
    text: str | None = None
    """Readable form of small values (a boxed number, an enum, a string when `strings` was asked for); None if there is none."""
    length: int | None = None
    """Characters of a string, elements of an array; None for others."""


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A value of an enum type; `name` is None if no constant (or combination of flags) has it."""

    name: str | None
    value: int


@dataclass(frozen=True, slots=True)
class StructValue:
    """A value type inside an object; `text` is its readable form (a DateTime, a Guid, a decimal, a TimeSpan) or None."""

    type: str
    fields: tuple["FieldRow", ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ByReferenceValue:
    """A by-reference (``ref``, ``in``, ``out``, ``this`` of a struct): where it points to, and the value there."""

    address: Address
    target: "Value"


Value: TypeAlias = bool | int | float | str | Address | Reference | EnumValue | StructValue | ByReferenceValue | Absence | None
"""None is the null reference; Address a pointer-sized native value."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One instance field and its value."""

    name: str
    declaring_type: str
    type: str
    offset: int
    """Bytes from the start of the fields (after the method table), as the runtime counts."""
    value: Value


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One element of an array or item of a collection."""

    index: int
    value: Value
    key: Value = None
    """Key of a dictionary's item; None for others."""


@dataclass(frozen=True, slots=True)
class DelegateTarget:
    """One entry of a delegate's invocation list."""

    target: Reference | None
    """None for a static method."""
    method: str


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """Shape of an array."""

    element_type: str
    lengths: tuple[int, ...]
    lower_bounds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """A collection recognised by its fields; its items are in `elements` of the object."""

    kind: str
    """``list``, ``dictionary``, ``set``, ``queue`` ..."""
    count: int


@dataclass(frozen=True, slots=True)
class ReferrerRow:
    """An object that refers to this one, and by which field or index."""

    address: Address
    type: str
    via: str | None


@dataclass(frozen=True, slots=True)
class LockFacts:
    """Who holds the object's monitor."""

    kind: Literal["thin", "sync block"]
    owner_managed_id: int | None
    recursion: int
    sync_block_index: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """An object: its header, its content, who refers to it, and what it keeps alive."""

    address: Address
    type: str
    method_table: Address
    size_bytes: int
    fields: tuple[FieldRow, ...]
    elements: tuple[ElementRow, ...] | None = None
    """None if it is neither array nor recognised collection."""
    delegate: tuple[DelegateTarget, ...] | None = None
    """The invocation list in order; None if it is no delegate."""
    array: ArrayFacts | None = None
    collection: CollectionFacts | None = None
    text: str | None = None
    """Readable form, as in Reference."""
    length: int | None = None
    """Characters of a string, elements of an array."""
    module: str | None = None
    generation: str | None = None
    segment: Address | None = None
    retained_bytes: int | None = None
    immediate_dominator: Reference | None = None
    """The nearest object that alone keeps this one alive; None if a root does, or if nothing does."""
    reachable: bool | None = None
    referrers: tuple[ReferrerRow, ...] = ()
    referrer_count: int = 0
    """All referrers, also those the limit left out."""
    references: tuple[ReferrerRow, ...] = ()
    """Objects this one refers to."""
    elements_left_out: int = 0
    delegate_left_out: int = 0
    lock: LockFacts | None = None
    hash_code: int | None = None
    """RuntimeHelpers.GetHashCode, where the header keeps it; None if it was never asked for, or a sync block has it."""
