"""Custom attributes by name, and their fixed arguments where these are simple (ECMA-335 II.23.3)."""

from struct import unpack_from
from typing import Final

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import compressed_unsigned
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.rows import CustomAttribute
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import type_token_name
from heaphound.runtime.signatures import Named, Primitive, SignatureType, method_signature

_SIMPLE: Final = {
    0x02: "<?",
    0x03: "<H",
    0x04: "<b",
    0x05: "<B",
    0x06: "<h",
    0x07: "<H",
    0x08: "<i",
    0x09: "<I",
    0x0A: "<q",
    0x0B: "<Q",
    0x0C: "<f",
    0x0D: "<d",
}
_WIDTHS: Final = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}

AttributeValue = str | int | float | bool | None


def attribute_type(metadata: Metadata, attribute: CustomAttribute) -> str:
    """Full metadata name of the attribute's type."""
    table, rid = attribute.constructor >> 24, attribute.constructor & 0xFFFFFF
    if table == Table.METHOD_DEF:
        return metadata.typedef_full_name(metadata.method_owner(rid))
    return type_token_name(metadata, metadata.memberref(rid).parent)


def find_attributes(metadata: Metadata, parent: int, name: str) -> list[CustomAttribute]:
    """Attributes of that full type name on a token; empty when there is none."""
    return [attribute for attribute in metadata.custom_attributes(parent) if attribute_type(metadata, attribute) == name]


def fixed_arguments(metadata: Metadata, attribute: CustomAttribute) -> list[AttributeValue]:
    """Constructor arguments up to the first that is neither primitive, string nor System.Type (given by its name). Raises Malformed."""
    table, rid = attribute.constructor >> 24, attribute.constructor & 0xFFFFFF
    blob = metadata.methoddef(rid).signature if table == Table.METHOD_DEF else metadata.memberref(rid).signature
    if attribute.value[:2] != b"\x01\x00":
        raise Malformed(f"attribute value starts with {attribute.value[:2].hex()} instead of 0100")
    offset = 2
    values: list[AttributeValue] = []
    for parameter in method_signature(blob).parameters:
        decoded = _argument(metadata, parameter, attribute.value, offset)
        if decoded is None:
            return values
        value, offset = decoded
        values.append(value)
    return values


def _argument(metadata: Metadata, parameter: SignatureType, data: bytes, offset: int) -> tuple[AttributeValue, int] | None:
    """One argument and the offset after it; None when its type is not a simple one."""
    if isinstance(parameter, Named) and type_token_name(metadata, parameter.token) == "System.Type":
        return _string(data, offset)
    if not isinstance(parameter, Primitive):
        return None
    if parameter.name == "System.String":
        return _string(data, offset)
    layout = _SIMPLE.get(parameter.element_type)
    if layout is None:
        return None
    width = _WIDTHS[layout[1]]
    if offset + width > len(data):
        raise Malformed("attribute value ends inside an argument")
    return unpack_from(layout, data, offset)[0], offset + width


def _string(data: bytes, offset: int) -> tuple[str | None, int]:
    if data[offset : offset + 1] == b"\xff":
        return None, offset + 1
    size, start = compressed_unsigned(data, offset)
    if start + size > len(data):
        raise Malformed(f"attribute value has a string of {size} bytes past its end")
    return data[start : start + size].decode("utf-8", "replace"), start + size
