"""Inline arrays: value types whose one field the runtime repeats ([InlineArray(n)], since .NET 8)."""

from dataclasses import dataclass

from heaphound.runtime.attributes import attribute_arguments
from heaphound.runtime.fields import Field
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.value_sizes import value_bytes

_ATTRIBUTE = "System.Runtime.CompilerServices.InlineArrayAttribute"


@dataclass(frozen=True, slots=True)
class InlineArray:
    """`length` elements as `field` declares the first, `stride` bytes apart."""

    field: Field
    length: int
    stride: int


def inline_array(kind: ResolvedType, fields: tuple[Field, ...]) -> InlineArray | None:
    """The inline array that a value type with these instance fields is; None for other types.

    The attribute alone is no proof: runtimes before 8 ignore it, so the type must also have room for all elements. Raises Malformed where
    the element's size is not known, Unreadable.
    """
    if len(fields) != 1 or kind.layout is None or not kind.layout.is_value_type:
        return None
    raw = attribute_arguments(kind.layout, _ATTRIBUTE)
    if raw is None or len(raw) < 4:
        return None
    length = int.from_bytes(raw[:4], "little", signed=True)
    stride = value_bytes(fields[0].type, fields[0].element_type)
    if length < 1 or stride * length > kind.layout.value_bytes:
        return None
    return InlineArray(fields[0], length, stride)
