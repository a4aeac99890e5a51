"""Fields of a type: FieldDesc for place and kind, metadata for name and signature.

src/coreclr/vm/field.h: 16 bytes: the enclosing MethodTable; a word of token row (24 bits) and flags; a word of offset (27 bits) and
CorElementType (5 bits). The FieldDescs of a class lie in a row: its own instance fields in declaration order, then its statics.
Literals have no FieldDesc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from struct import unpack
from typing import TYPE_CHECKING

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import REFERENCES
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.literals import literal_value
from heaphound.runtime.signatures import field_type

if TYPE_CHECKING:
    from heaphound.runtime.types import Type
    from heaphound.runtime.typesystem import TypeSystem


@dataclass(frozen=True, eq=False)
class Field:
    """A field with storage.

    `offset` is in bytes: of an instance field from the start of the fields, so from 8 bytes after the object's address, or from the start
    of an unboxed value; of a static in its statics base; of a static in the image (`is_rva`) its RVA. None where the runtime has not
    placed it (added by Edit and Continue). `element_type` is a CorElementType: of an enum field the underlying one. `name` is a
    placeholder when metadata is missing.
    """

    declaring_type: Type = field(repr=False)
    declaring_name: str
    name: str
    offset: int | None
    element_type: int
    row: int
    attributes: int
    is_static: bool
    is_thread_static: bool
    is_rva: bool
    signature: bytes = field(repr=False)
    context: tuple[ResolvedType, ...] = field(repr=False)

    @property
    def token(self) -> int:
        """Field token of its module."""
        return 0x04000000 | self.row

    @property
    def is_reference(self) -> bool:
        """Whether it holds a reference to an object."""
        return self.element_type in REFERENCES

    @property
    def is_init_only(self) -> bool:
        """Whether it is readonly."""
        return bool(self.attributes & 0x20)

    @cached_property
    def type(self) -> ResolvedType:
        """Its declared type in the exact generic context; a placeholder named after the reason where the signature cannot be resolved."""
        module = self.declaring_type.module
        try:
            if module is None or not self.signature:
                raise Malformed("no metadata")
            return self.declaring_type.system.signatures.resolve(field_type(self.signature), module, self.context)
        except (Unreadable, Malformed) as error:
            return ResolvedType(f"<unknown: {error}>", self.element_type, None)

    @property
    def type_name(self) -> str:
        """C#-like name of its declared type."""
        return self.type.name


def read_fields(system: TypeSystem, owner: Type, context: Sequence[ResolvedType], declaring_name: str | None = None) -> tuple[Field, ...]:
    """Fields that `owner` itself declares, types resolved with `context` as its generic arguments.

    Raises Unreadable, LimitExceeded, Malformed.
    """
    tables, memory = system.method_tables, system.memory
    instance, static = tables.field_counts(owner.eeclass)
    inherited = tables.field_counts(owner.parent.eeclass)[0] if owner.parent is not None else 0
    count = instance - inherited + static
    if not 0 <= count <= LIMITS.fields_of_type:
        raise LimitExceeded(f"type {owner.name} claims {count} fields of its own")
    start = tables.field_descs(owner.eeclass)
    if not count or not start:
        return ()
    size, constant = system.layout.size("FieldDesc"), system.layout.constant
    raw = memory.bytes(start, count * size)
    mask, shift = constant("FieldDesc.TokenMask"), constant("FieldDesc.ElementTypeShift")
    at = system.layout.offset("FieldDesc", "DWord1")
    fields = []
    for index in range(count):
        first, second = unpack("<II", raw[index * size + at : index * size + at + 8])
        name, attributes, signature = _definition(owner, first & mask)
        offset = second & constant("FieldDesc.OffsetMask")
        fields.append(
            Field(
                declaring_type=owner,
                declaring_name=owner.name if declaring_name is None else declaring_name,
                name=name,
                offset=offset if offset <= constant("FieldDesc.MaximumOffset") else None,
                element_type=second >> shift,
                row=first & mask,
                attributes=attributes,
                is_static=bool(first & constant("FieldDesc.IsStatic")),
                is_thread_static=bool(first & constant("FieldDesc.IsThreadStatic")),
                is_rva=bool(first & constant("FieldDesc.IsRVA")),
                signature=signature,
                context=tuple(context),
            )
        )
    return tuple(fields)


def _definition(owner: Type, row: int) -> tuple[str, int, bytes]:
    """(name, attributes, signature) out of the metadata; a placeholder name, 0 and nothing where there is none."""
    metadata = owner.module.metadata if owner.module is not None else None
    if metadata is None:
        return f"<field {0x04000000 | row:#010x}>", 0, b""
    found = metadata.field(row)
    return found.name, found.flags, found.signature


def literal_fields(owner: Type) -> dict[str, int | float | str | None]:
    """Name and value of each constant that a type declares, in metadata order; empty without metadata. Raises Malformed."""
    metadata = owner.module.metadata if owner.module is not None else None
    if metadata is None or not owner.row:
        return {}
    found: dict[str, int | float | str | None] = {}
    for row in metadata.typedef(owner.row).fields:
        definition = metadata.field(row)
        constant = metadata.constant(0x04000000 | row) if definition.is_literal else None
        if constant is not None:
            found[definition.name] = literal_value(constant)
    return found


def value_fields(resolved: ResolvedType) -> tuple[Field, ...]:
    """Instance fields of a value type, by its exact name and arguments even where only the shared form is loaded. Raises Malformed when
    nothing of it is loaded, Unreadable."""
    if resolved.type is not None:
        return resolved.type.fields
    if resolved.layout is None:
        raise Malformed(f"no type with the layout of {resolved.name} is loaded")
    layout = resolved.layout
    return tuple(item for item in read_fields(layout.system, layout, resolved.arguments, resolved.name) if not item.is_static)
