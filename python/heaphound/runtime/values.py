"""Values in memory: what lies at an address, read as its declared type says."""

from struct import pack, unpack
from typing import Final

from heaphound.address import Address
from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.results.object import Absence, EnumValue, FieldRow, Reference, StructValue, Value
from heaphound.runtime.element_types import PRIMITIVE_BYTES, REFERENCES, ElementType
from heaphound.runtime.enums import EnumNames
from heaphound.runtime.fields import Field, value_fields
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.inline_arrays import InlineArray, inline_array
from heaphound.runtime.readable import readable, readable_size
from heaphound.runtime.strings import Strings
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem

OBJECT_HEADER_BYTES: Final = 8
"""Bytes from an object's address to its first field: the MethodTable pointer."""
_REFERENCE_CHARACTERS: Final = 10_000  # of a string that a field refers to; the object itself is read to its own bound
_FORMATS: Final[dict[int, str]] = {
    ElementType.BOOLEAN: "<B",
    ElementType.CHAR: "<H",
    ElementType.I1: "<b",
    ElementType.U1: "<B",
    ElementType.I2: "<h",
    ElementType.U2: "<H",
    ElementType.I4: "<i",
    ElementType.U4: "<I",
    ElementType.I8: "<q",
    ElementType.U8: "<Q",
    ElementType.I: "<q",
    ElementType.U: "<Q",
    ElementType.R4: "<f",
    ElementType.R8: "<d",
}
_ADDRESSES: Final = frozenset({ElementType.I, ElementType.U, ElementType.POINTER, ElementType.FUNCTION_POINTER, ElementType.BY_REFERENCE})


class Values:
    """Reads values of one dump. What cannot be read becomes an `Absence` in its place; nothing is raised for a bad dump.

    `strings` False leaves the text of strings out: contents can be secrets; their lengths stay. `inline_elements` bounds how many
    elements of an inline array are shown. `memory` is where to read from, if not from the dump alone.
    """

    def __init__(self, system: TypeSystem, *, strings: bool = True, inline_elements: int = 64, memory: Memory | None = None) -> None:
        self.system = system
        self.memory = memory or system.memory
        self.strings = Strings(system.memory, system.layout, show_text=strings)
        self.enums = EnumNames()
        self._inline_elements = inline_elements

    def fields(self, start: int, fields: tuple[Field, ...], depth: int = 0) -> tuple[FieldRow, ...]:
        """Instance fields with values; `start` is the address of offset 0 (8 bytes into an object, or the start of an unboxed value)."""
        return tuple(
            FieldRow(field.name, field.declaring_name, field.type_name, field.offset or 0, self.field(start, field, depth))
            for field in fields
        )

    def field(self, start: int, field: Field, depth: int = 0) -> Value:
        """The value of one instance field."""
        if field.offset is None:
            return Absence("not in this runtime", "the field was added by Edit and Continue and lies outside the object")
        return self.value(start + field.offset, field.type, field.element_type, depth)

    def value(self, address: int, kind: ResolvedType, element_type: int | None = None, depth: int = 0) -> Value:
        """The value of type `kind` at `address`. `element_type` is what the runtime's own FieldDesc says, where there is one."""
        try:
            return self._value(address, kind, kind.element_type if element_type is None else element_type, depth)
        except Unreadable as error:
            return Absence("unreadable", error.why, Address(error.address))
        except Malformed as error:
            return Absence("malformed", str(error), Address(address))

    def _value(self, address: int, kind: ResolvedType, element_type: int, depth: int) -> Value:
        if element_type in REFERENCES:
            return self.reference(self.memory.pointer(address))
        enum = kind.layout if kind.layout is not None and kind.layout.is_enum else None
        if enum is not None:
            number = self._number(address, enum.element_type)
            return EnumValue(self.enums.name(enum, number), number) if isinstance(number, int) else number
        if element_type == ElementType.BOOLEAN:
            return self.memory.u8(address) != 0
        if element_type == ElementType.CHAR:
            return chr(self.memory.u16(address))
        if element_type in _ADDRESSES:
            return Address(self.memory.pointer(address))
        if element_type in _FORMATS:
            return self._number(address, element_type)
        if element_type == ElementType.VALUE_TYPE:
            return self.struct(address, kind, depth)
        raise Malformed(f"a value of type {kind.name} has the element type {element_type:#x}")

    def _number(self, address: int, element_type: int) -> int | float:
        form = _FORMATS.get(element_type)
        if form is None:
            raise Malformed(f"a number at {address:#x} has the element type {element_type:#x}")
        value: int | float = unpack(form, self.memory.bytes(address, PRIMITIVE_BYTES[element_type]))[0]
        return shortest_single(value) if element_type == ElementType.R4 else value

    def reference(self, target: int) -> Reference | Absence | None:
        """A reference to the object at `target`: None for null, an Absence where there is no readable object."""
        if not target:
            return None
        try:
            found = self.type_of(target)
        except Unreadable as error:
            return Absence("unreadable", error.why, Address(target))
        except Malformed as error:
            return Absence("malformed", str(error), Address(target))
        return Reference(Address(target), found.name, *self.text_and_length(target, found))

    def type_of(self, address: int) -> Type:
        """Type of the object at `address`. Raises Unreadable or Malformed."""
        mask = self.system.layout.constant("ObjectToMethodTableUnmask")
        return self.system.type(self.memory.pointer(address) & ~mask)

    def text_and_length(self, address: int, found: Type) -> tuple[str | None, int | None]:
        """Readable form of an object that has a short one, and its number of characters or elements."""
        try:
            if found.is_string:
                return self.strings.text_and_length(address, _REFERENCE_CHARACTERS)
            if found.is_array:
                return None, self.memory.u32(address + self.system.layout.offset("Array", "m_NumComponents"))
            return (self.boxed_text(address, found) if found.is_value_type else None), None
        except (Unreadable, Malformed):
            return None, None

    def boxed_text(self, address: int, found: Type) -> str | None:
        """Text of a boxed primitive, enum or well-known value type; None for others. Raises Unreadable or Malformed.

        Fields are not looked into: a boxed struct may refer to another, and so on in a ring.
        """
        start = address + OBJECT_HEADER_BYTES
        if found.is_enum or found.element_type not in (ElementType.VALUE_TYPE, *REFERENCES):
            return _plain_text(self._value(start, found.resolved, found.resolved.element_type, 0))
        return self._readable(start, found)

    def _readable(self, address: int, layout: Type) -> str | None:
        size = readable_size(layout.name) if layout.module is self.system.core_library else None
        return None if size is None else readable(layout.name, self.memory.bytes(address, size))

    def struct(self, address: int, kind: ResolvedType, depth: int = 0) -> StructValue:
        """A value type with its fields, nested ones within. Raises Malformed beyond any real depth or when its layout is unknown."""
        if depth >= LIMITS.struct_nesting:
            raise Malformed(f"{kind.name} lies more than {LIMITS.struct_nesting} deep inside other value types")
        fields = value_fields(kind)
        repeated = inline_array(kind, fields)
        if repeated is not None:
            return StructValue(kind.name, self._inline_rows(address, repeated, depth))
        rows = self.fields(address, fields, depth + 1)
        return StructValue(kind.name, rows, self._text(address, kind, rows))

    def _inline_rows(self, address: int, array: InlineArray, depth: int) -> tuple[FieldRow, ...]:
        """The elements of an inline array as rows `[0]`, `[1]`, ..."""
        field, stride = array.field, array.stride
        rows = []
        for index in range(min(array.length, self._inline_elements)):
            value = self.value(address + index * stride, field.type, field.element_type, depth + 1)
            rows.append(FieldRow(f"[{index}]", field.declaring_name, field.type_name, index * stride, value))
        return tuple(rows)

    def _text(self, address: int, kind: ResolvedType, rows: tuple[FieldRow, ...]) -> str | None:
        if kind.layout is None:
            return None
        if kind.layout.is_nullable and len(rows) == 2:
            return _plain_text(rows[1].value) if rows[0].value is True else "null"
        return self._readable(address, kind.layout)


def shortest_single(value: float) -> float:
    """The shortest decimal number that is this single-precision value: 0.72 for 0.7200000286102295, as .NET prints it."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if pack("<f", short) == pack("<f", value):
            return short
    return value


def _plain_text(value: Value) -> str | None:
    match value:
        case StructValue() | Reference():
            return value.text
        case EnumValue():
            return str(value.value) if value.name is None else value.name
        case bool():
            return "true" if value else "false"
        case int() | float() | str():
            return str(value)
    return None
