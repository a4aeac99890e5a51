"""CorElementType: how metadata and the runtime encode the kind of a type (ECMA-335 II.23.1.16, src/coreclr/inc/corhdr.h)."""

from enum import IntEnum
from typing import Final


class ElementType(IntEnum):
    """Kind of a type. `CLASS` and `VALUE_TYPE` need a MethodTable or a token to say which."""

    END = 0x00
    VOID = 0x01
    BOOLEAN = 0x02
    CHAR = 0x03
    I1 = 0x04
    U1 = 0x05
    I2 = 0x06
    U2 = 0x07
    I4 = 0x08
    U4 = 0x09
    I8 = 0x0A
    U8 = 0x0B
    R4 = 0x0C
    R8 = 0x0D
    STRING = 0x0E
    POINTER = 0x0F
    BY_REFERENCE = 0x10
    VALUE_TYPE = 0x11
    CLASS = 0x12
    TYPE_PARAMETER = 0x13
    ARRAY = 0x14
    GENERIC_INSTANCE = 0x15
    TYPED_BY_REFERENCE = 0x16
    I = 0x18  # noqa: E741
    U = 0x19
    FUNCTION_POINTER = 0x1B
    OBJECT = 0x1C
    VECTOR = 0x1D
    METHOD_PARAMETER = 0x1E


REFERENCES: Final = frozenset({ElementType.STRING, ElementType.CLASS, ElementType.ARRAY, ElementType.OBJECT, ElementType.VECTOR})
"""Kinds whose values are references to objects."""

PRIMITIVE_BYTES: Final[dict[int, int]] = {
    ElementType.BOOLEAN: 1,
    ElementType.CHAR: 2,
    ElementType.I1: 1,
    ElementType.U1: 1,
    ElementType.I2: 2,
    ElementType.U2: 2,
    ElementType.I4: 4,
    ElementType.U4: 4,
    ElementType.I8: 8,
    ElementType.U8: 8,
    ElementType.R4: 4,
    ElementType.R8: 8,
    ElementType.POINTER: 8,
    ElementType.I: 8,
    ElementType.U: 8,
    ElementType.FUNCTION_POINTER: 8,
    ElementType.BY_REFERENCE: 8,
}
"""Size of a value in bytes on 64-bit machines."""
