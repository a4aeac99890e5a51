"""Custom attributes of runtime types, as far as reading objects needs them."""

from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import type_token_name
from heaphound.runtime.types import Type

_PROLOG = b"\x01\x00"  # ECMA-335 II.23.3


def has_attribute(owner: Type, name: str) -> bool:
    """Whether the type carries the attribute of that full name; False without metadata. Raises Malformed."""
    return attribute_arguments(owner, name) is not None


def attribute_arguments(owner: Type, name: str) -> bytes | None:
    """Raw arguments (behind the prolog) of the attribute on a type; None when it has none, or no metadata. Raises Malformed."""
    metadata = owner.module.metadata if owner.module is not None else None
    if metadata is None or not owner.row:
        return None
    for attribute in metadata.custom_attributes(0x02000000 | owner.row):
        if _attribute_type(metadata, attribute.constructor) == name:
            return attribute.value[2:] if attribute.value[:2] == _PROLOG else b""
    return None


def _attribute_type(metadata: Metadata, constructor: int) -> str | None:
    table, row = constructor >> 24, constructor & 0xFFFFFF
    if table == Table.METHOD_DEF:
        return metadata.typedef_full_name(metadata.method_owner(row))
    if table != Table.MEMBER_REF:
        return None
    parent = metadata.memberref(row).parent
    return type_token_name(metadata, parent) if parent >> 24 in (Table.TYPE_REF, Table.TYPE_DEF) else None
