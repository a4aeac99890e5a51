"""Decoded metadata rows. Tokens are plain ints (table << 24 | row id), 0 for null; blobs are raw bytes."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID


class TypeDef(NamedTuple):
    """A type that this module defines. `fields` and `methods` are row ids of its own members, in metadata order."""

    rid: int
    flags: int
    name: str
    namespace: str
    extends: int
    fields: Sequence[int]
    methods: Sequence[int]

    @property
    def is_interface(self) -> bool:
        """Whether the ClassSemantics bit says interface."""
        return bool(self.flags & 0x20)

    @property
    def is_abstract_and_sealed(self) -> bool:
        """Whether C# would call it a static class."""
        return self.flags & 0x180 == 0x180


class TypeRef(NamedTuple):
    """A type of another module. `scope` is a token: AssemblyRef, ModuleRef, Module, or the TypeRef of the enclosing type."""

    rid: int
    scope: int
    name: str
    namespace: str


class MethodDef(NamedTuple):
    """A method that this module defines. `rva` 0 means no body; `params` are row ids of the Param table."""

    rid: int
    rva: int
    impl_flags: int
    flags: int
    name: str
    signature: bytes
    params: Sequence[int]

    @property
    def is_static(self) -> bool:
        """Whether it takes no `this`."""
        return bool(self.flags & 0x10)

    @property
    def has_il(self) -> bool:
        """Whether `rva` leads to an IL body (CodeTypeMask of ImplFlags is IL and there is an RVA)."""
        return self.rva != 0 and self.impl_flags & 3 == 0 and not self.flags & 0x2000


class FieldDef(NamedTuple):
    """A field that this module defines."""

    rid: int
    flags: int
    name: str
    signature: bytes

    @property
    def is_static(self) -> bool:
        """Whether it is static (literals are static too)."""
        return bool(self.flags & 0x10)

    @property
    def is_literal(self) -> bool:
        """Whether it is a compile-time constant, with no storage at run time."""
        return bool(self.flags & 0x40)

    @property
    def has_rva(self) -> bool:
        """Whether its storage is initialised data inside the image."""
        return bool(self.flags & 0x100)


class ParamDef(NamedTuple):
    """A parameter's name and flags; `sequence` 0 is the return value, 1 the first parameter after `this`."""

    rid: int
    flags: int
    sequence: int
    name: str


class MemberRef(NamedTuple):
    """A field or method of another type. `parent` is a token: TypeDef, TypeRef, ModuleRef, MethodDef or TypeSpec."""

    rid: int
    parent: int
    name: str
    signature: bytes

    @property
    def is_field(self) -> bool:
        """Whether the signature is one of a field."""
        return self.signature[:1] == b"\x06"


class Constant(NamedTuple):
    """The value of a literal field, optional parameter or property: CorElementType and raw bytes."""

    element_type: int
    value: bytes


class EventDef(NamedTuple):
    """An event: its delegate type (token) and its accessors as MethodDef row ids, None when absent."""

    rid: int
    name: str
    event_type: int
    add: int | None
    remove: int | None
    fire: int | None


class PropertyDef(NamedTuple):
    """A property: its accessors as MethodDef row ids, None when absent."""

    rid: int
    flags: int
    name: str
    signature: bytes
    getter: int | None
    setter: int | None


class GenericParam(NamedTuple):
    """A type parameter of a type or method definition (`owner` token), and the tokens of its type constraints."""

    rid: int
    number: int
    flags: int
    owner: int
    name: str
    constraints: tuple[int, ...]


class CustomAttribute(NamedTuple):
    """An attribute: who carries it (token), its constructor (MethodDef or MemberRef token), its raw arguments."""

    rid: int
    parent: int
    constructor: int
    value: bytes


class MethodSpec(NamedTuple):
    """A generic method with its arguments: the MethodDef or MemberRef token, and the raw instantiation blob."""

    rid: int
    method: int
    instantiation: bytes


class ModuleRow(NamedTuple):
    """Name of the module's file and its version id; `mvid` None when the null GUID index is stored."""

    name: str
    mvid: UUID | None


class AssemblyName(NamedTuple):
    """Identity of an assembly (from the Assembly or the AssemblyRef table). Culture "" is neutral."""

    name: str
    version: tuple[int, int, int, int]
    culture: str
    flags: int
    public_key_or_token: bytes


class ExportedType(NamedTuple):
    """A type that is forwarded to, or lives in another file of, the assembly. `implementation`: File, AssemblyRef or ExportedType token."""

    rid: int
    flags: int
    name: str
    namespace: str
    implementation: int

    @property
    def is_forwarder(self) -> bool:
        """Whether it is a type forwarder to another assembly."""
        return bool(self.flags & 0x00200000)
