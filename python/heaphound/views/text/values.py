"""Values of fields and elements in words."""

from collections.abc import Iterator

from heaphound.address import Address
from heaphound.results.object import Absence, ByReferenceValue, EnumValue, FieldRow, Reference, StructValue, Value

DEPTH_SHOWN = 6
"""Levels of value types inside value types that are shown; deeper ones are named only."""


def value_words(value: Value) -> str:
    """``null``, ``true``, ``42``, ``0x7f... System.String (12 characters)``, ``Red (2)``, ``unreadable: ...``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, Reference):
        return reference_words(value)
    if isinstance(value, EnumValue):
        return f"{value.name} ({value.value})" if value.name is not None else str(value.value)
    if isinstance(value, StructValue):
        return value.text if value.text is not None else f"{{{value.type}}}"
    if isinstance(value, ByReferenceValue):
        return f"{value.address} -> {value_words(value.target)}"
    if isinstance(value, Absence):
        return f"{value.kind}: {value.reason}{'' if value.address is None else f' ({value.address})'}"
    return str(value)


def reference_words(reference: Reference) -> str:
    """Address, type, and the readable form or the length where there is one."""
    words = f"{reference.address} {reference.type}"
    if reference.text is not None:
        return f"{words} = {reference.text}"
    if reference.length is None:
        return words
    return f"{words} ({reference.length} {'characters' if reference.type == 'System.String' else 'elements'})"


def field_rows(fields: tuple[FieldRow, ...], prefix: str = "", depth: int = 0) -> Iterator[tuple[int, str, str, str, str]]:
    """(offset, name, value, type, declaring type) of each field, those of nested value types after their owner as ``owner.field``."""
    for field in fields:
        yield field.offset, f"{prefix}{field.name}", value_words(field.value), field.type, field.declaring_type
        if isinstance(field.value, StructValue) and field.value.text is None and depth < DEPTH_SHOWN:
            yield from field_rows(field.value.fields, f"{prefix}{field.name}.", depth + 1)
