"""A value taken apart: the primitive values, references and by-references inside it, with their offsets."""

from collections.abc import Iterator
from dataclasses import dataclass

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import PRIMITIVE_BYTES, REFERENCES, ElementType
from heaphound.runtime.fields import value_fields
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.inline_arrays import inline_array

_WORD = 8
# Types that the JIT keeps in a vector register each (MethodTable::GetVectorHFA of src/coreclr/vm/class.cpp); larger ones consist of them.
_VECTOR_CLASSES = ("System.Numerics.Vector<", "System.Runtime.Intrinsics.Vector64<", "System.Runtime.Intrinsics.Vector128<")
_BY_REFERENCE_CLASS = "System.ByReference<"  # up to 6.0 its field is declared an IntPtr (MethodTable::IsByReferenceOfT)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One primitive value, or one vector. `element_type` is a CorElementType; of an enum that of its underlying type."""

    offset: int
    element_type: int
    size_bytes: int

    @property
    def is_reference(self) -> bool:
        """Whether it refers to an object's start."""
        return self.element_type in REFERENCES

    @property
    def is_interior(self) -> bool:
        """Whether it may point anywhere, also into an object."""
        return self.element_type == ElementType.BY_REFERENCE

    @property
    def is_vector(self) -> bool:
        """Whether it fills a vector register; it holds no references."""
        return self.element_type == ElementType.VALUE_TYPE


def leaves_of(kind: ResolvedType) -> tuple[Leaf, ...]:
    """All leaves of a value. Raises Malformed where its layout is not known, LimitExceeded, Unreadable."""
    found: list[Leaf] = []
    for leaf in _leaves(kind, kind.element_type, 0, 0):
        found.append(leaf)
        if len(found) > LIMITS.value_leaves:
            raise LimitExceeded(f"a value of type {kind.name} has more than {LIMITS.value_leaves} parts")
    return tuple(found)


def _leaves(kind: ResolvedType, element_type: int, start: int, depth: int) -> Iterator[Leaf]:
    if kind.layout is not None and kind.layout.is_enum:
        element_type = kind.layout.element_type
    if element_type in REFERENCES:
        yield Leaf(start, element_type, _WORD)
    elif element_type == ElementType.TYPED_BY_REFERENCE:
        yield Leaf(start, ElementType.BY_REFERENCE, _WORD)
        yield Leaf(start + _WORD, ElementType.I, _WORD)
    elif element_type in PRIMITIVE_BYTES:
        yield Leaf(start, element_type, PRIMITIVE_BYTES[element_type])
    elif element_type == ElementType.VALUE_TYPE:
        yield from _fields(kind, start, depth)
    else:
        raise Malformed(f"a value of type {kind.name} has the element type {element_type:#x}")


def _fields(kind: ResolvedType, start: int, depth: int) -> Iterator[Leaf]:
    if depth >= LIMITS.struct_nesting:
        raise Malformed(f"{kind.name} lies more than {LIMITS.struct_nesting} deep inside other value types")
    fields = value_fields(kind)
    if kind.name.startswith(_BY_REFERENCE_CLASS):
        yield Leaf(start, ElementType.BY_REFERENCE, _WORD)
        return
    if kind.name.startswith(_VECTOR_CLASSES) and kind.layout is not None:
        yield Leaf(start, ElementType.VALUE_TYPE, kind.layout.value_bytes)
        return
    repeated = inline_array(kind, fields)
    if repeated is not None:
        for index in range(min(repeated.length, LIMITS.value_leaves)):
            yield from _leaves(repeated.field.type, repeated.field.element_type, start + index * repeated.stride, depth + 1)
        return
    for field in fields:
        if field.offset is None:
            raise Malformed(f"{kind.name}.{field.name} lies outside of its value")
        yield from _leaves(field.type, field.element_type, start + field.offset, depth + 1)
