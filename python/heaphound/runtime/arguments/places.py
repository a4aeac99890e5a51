"""Arguments and their places, as every calling convention deals with them."""

from dataclasses import dataclass
from typing import Protocol

from heaphound.runtime.arguments.leaves import Leaf, leaves_of
from heaphound.runtime.element_types import PRIMITIVE_BYTES, REFERENCES, ElementType
from heaphound.runtime.generics import ResolvedType

_WORD = 8


@dataclass(frozen=True, slots=True)
class ArgumentKind:
    """The type of an argument or result, as far as its place depends on it. `size_bytes` is 0 for no result."""

    name: str
    element_type: int
    size_bytes: int
    leaves: tuple[Leaf, ...]

    @property
    def is_struct(self) -> bool:
        """Whether it is a value type that is no primitive and no enum."""
        return self.element_type == ElementType.VALUE_TYPE


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of an argument from `value_offset` on that lie at `block_offset` of the TransitionBlock.

    `by_reference`: they are a pointer to the value, not the value.
    """

    block_offset: int
    value_offset: int
    size_bytes: int
    by_reference: bool = False


class CallingConvention(Protocol):
    """Hands out places in the order of a call's arguments: hidden ones first, then those of the signature."""

    def hidden(self) -> int:
        """Offset in the TransitionBlock of the next hidden argument."""

    def result_buffer(self, kind: ArgumentKind) -> int | None:
        """Offset in the TransitionBlock of the address of the buffer for a result of that type; None where it is returned in registers."""

    def place(self, kind: ArgumentKind) -> tuple[Piece, ...]:
        """Where the parts of the next argument lie that can hold references."""


def argument_kind(kind: ResolvedType) -> ArgumentKind:
    """The kind of a resolved type. Raises Malformed where a struct's layout is not known, Unreadable."""
    element_type, layout = kind.element_type, kind.layout
    if element_type == ElementType.VOID:
        return ArgumentKind(kind.name, element_type, 0, ())
    if layout is not None and layout.is_enum:
        element_type = layout.element_type
    leaves = leaves_of(kind)
    if element_type == ElementType.VALUE_TYPE and layout is not None:
        return ArgumentKind(kind.name, element_type, layout.value_bytes, leaves)
    if element_type == ElementType.TYPED_BY_REFERENCE:
        return ArgumentKind(kind.name, element_type, 2 * _WORD, leaves)
    return ArgumentKind(kind.name, element_type, _WORD if element_type in REFERENCES else PRIMITIVE_BYTES[element_type], leaves)
