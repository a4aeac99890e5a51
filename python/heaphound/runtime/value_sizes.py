"""Sizes of values where they are stored."""

from heaphound.errors import Malformed
from heaphound.runtime.element_types import PRIMITIVE_BYTES, REFERENCES
from heaphound.runtime.generics import ResolvedType


def value_bytes(kind: ResolvedType, element_type: int | None = None) -> int:
    """Size in bytes of a value of the type where it is stored (8 for references). Raises Malformed when its layout is not loaded."""
    element = kind.element_type if element_type is None else element_type
    if element in REFERENCES:
        return 8
    if element in PRIMITIVE_BYTES:
        return PRIMITIVE_BYTES[element]
    if kind.layout is None:
        raise Malformed(f"no type with the layout of {kind.name} is loaded")
    return kind.layout.value_bytes
