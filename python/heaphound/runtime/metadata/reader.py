"""Lazy reader of one module's CLI metadata (ECMA-335 partition II): rows by row id, names by token."""

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import BlobHeap, GuidHeap, Span, StringHeap, UserStringHeap
from heaphound.runtime.metadata.members import FIELDS, METHODS, PARAMS, MemberLists
from heaphound.runtime.metadata.root import parse_root
from heaphound.runtime.metadata.rows import (
    AssemblyName,
    Constant,
    CustomAttribute,
    ExportedType,
    FieldDef,
    GenericParam,
    MemberRef,
    MethodDef,
    MethodSpec,
    ModuleRow,
    ParamDef,
    TypeDef,
    TypeRef,
)
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.tables import Tables

_NOTHING = Span(0, 0)


class Metadata:
    """The metadata of one module, read from a copy of its blob.

    Opening decodes headers only (well under a millisecond); rows are decoded on demand and not kept. Every method raises Malformed
    for a row id, heap index or range that the blob does not hold.
    """

    def __init__(self, read: bytes | bytearray | memoryview) -> None:
        data = bytes(read)
        root = parse_root(data)
        streams = root.streams
        table_stream = streams.get("#~") or streams.get("#-")
        if table_stream is None:
            raise Malformed("metadata has no table stream (#~ or #-)")
        self.data = data
        self.version = root.version
        self.streams = streams
        self.tables = Tables(data, table_stream, minimal_delta="#JTD" in streams)
        self.lists = MemberLists(self.tables)
        self.strings = StringHeap(data, streams.get("#Strings", _NOTHING))
        self.blobs = BlobHeap(data, streams.get("#Blob", _NOTHING))
        self.guids = GuidHeap(data, streams.get("#GUID", _NOTHING))
        self.user_strings = UserStringHeap(data, streams.get("#US", _NOTHING))
        self._typedef_names: dict[tuple[str, str], int] | None = None
        self._full_names: dict[int, str] = {}

    def module(self) -> ModuleRow:
        """Name and MVID of the module."""
        _, name, mvid, _, _ = self.tables.row(Table.MODULE, 1)
        return ModuleRow(self.strings[name], self.guids[mvid])

    def assembly(self) -> AssemblyName | None:
        """Identity of the assembly whose manifest this module holds; None for a netmodule."""
        if not self.tables.count(Table.ASSEMBLY):
            return None
        _, *version, flags, key, name, culture = self.tables.row(Table.ASSEMBLY, 1)
        return self._assembly_name(version, flags, key, name, culture)

    def assemblyref(self, rid: int) -> AssemblyName:
        """Identity of a referenced assembly."""
        *version, flags, key, name, culture, _ = self.tables.row(Table.ASSEMBLY_REF, rid)
        return self._assembly_name(version, flags, key, name, culture)

    def _assembly_name(self, version: list[int], flags: int, key: int, name: int, culture: int) -> AssemblyName:
        major, minor, build, revision = version
        return AssemblyName(self.strings[name], (major, minor, build, revision), self.strings[culture], flags, self.blobs[key])

    def moduleref(self, rid: int) -> str:
        """Name of a referenced module."""
        return self.strings[self.tables.row(Table.MODULE_REF, rid)[0]]

    def typedef(self, rid: int) -> TypeDef:
        """A type definition with the row ids of its fields and methods."""
        flags, name, namespace, extends, fields, methods = self.tables.row(Table.TYPE_DEF, rid)
        return TypeDef(
            rid,
            flags,
            self.strings[name],
            self.strings[namespace],
            self.tables.token(Table.TYPE_DEF, 3, extends),
            self.lists.of(FIELDS, rid, fields),
            self.lists.of(METHODS, rid, methods),
        )

    def typeref(self, rid: int) -> TypeRef:
        """A type reference and its resolution scope."""
        scope, name, namespace = self.tables.row(Table.TYPE_REF, rid)
        return TypeRef(rid, self.tables.token(Table.TYPE_REF, 0, scope), self.strings[name], self.strings[namespace])

    def typespec(self, rid: int) -> bytes:
        """Signature blob of a type specification."""
        return self.blobs[self.tables.row(Table.TYPE_SPEC, rid)[0]]

    def standalone_signature(self, rid: int) -> bytes:
        """Blob of a stand-alone signature (locals of a method body, calli)."""
        return self.blobs[self.tables.row(Table.STAND_ALONE_SIG, rid)[0]]

    def methoddef(self, rid: int) -> MethodDef:
        """A method definition with the row ids of its Param rows."""
        rva, impl_flags, flags, name, signature, params = self.tables.row(Table.METHOD_DEF, rid)
        own = self.lists.of(PARAMS, rid, params)
        return MethodDef(rid, rva, impl_flags, flags, self.strings[name], self.blobs[signature], own)

    def method_name(self, rid: int) -> str:
        """Name alone of a method definition."""
        return self.strings[self.tables.row(Table.METHOD_DEF, rid)[3]]

    def field(self, rid: int) -> FieldDef:
        """A field definition."""
        flags, name, signature = self.tables.row(Table.FIELD, rid)
        return FieldDef(rid, flags, self.strings[name], self.blobs[signature])

    def param(self, rid: int) -> ParamDef:
        """A row of the Param table."""
        flags, sequence, name = self.tables.row(Table.PARAM, rid)
        return ParamDef(rid, flags, sequence, self.strings[name])

    def memberref(self, rid: int) -> MemberRef:
        """A reference to a field or method of another type."""
        parent, name, signature = self.tables.row(Table.MEMBER_REF, rid)
        return MemberRef(rid, self.tables.token(Table.MEMBER_REF, 0, parent), self.strings[name], self.blobs[signature])

    def methodspec(self, rid: int) -> MethodSpec:
        """A generic method with arguments."""
        method, instantiation = self.tables.row(Table.METHOD_SPEC, rid)
        return MethodSpec(rid, self.tables.token(Table.METHOD_SPEC, 0, method), self.blobs[instantiation])

    def field_owner(self, rid: int) -> int:
        """TypeDef row id of the type that declares a field."""
        return self.lists.owner(FIELDS, rid)

    def method_owner(self, rid: int) -> int:
        """TypeDef row id of the type that declares a method."""
        return self.lists.owner(METHODS, rid)

    def enclosing(self, rid: int) -> int | None:
        """TypeDef row id of the type that a nested type sits in; None for a top-level type."""
        found = self.tables.rows_with(Table.NESTED_CLASS, 0, rid)
        return self.tables.row(Table.NESTED_CLASS, found[0])[1] if found else None

    def nested(self, rid: int) -> list[int]:
        """TypeDef row ids of the types nested directly in a type."""
        return [self.tables.row(Table.NESTED_CLASS, row)[0] for row in self.tables.rows_with(Table.NESTED_CLASS, 1, rid)]

    def field_offset(self, rid: int) -> int | None:
        """Explicit offset in bytes of a field; None when the type's layout is not explicit."""
        found = self.tables.rows_with(Table.FIELD_LAYOUT, 1, rid)
        return self.tables.row(Table.FIELD_LAYOUT, found[0])[0] if found else None

    def field_rva(self, rid: int) -> int | None:
        """RVA of the initial data of a field; None when it has none."""
        found = self.tables.rows_with(Table.FIELD_RVA, 1, rid)
        return self.tables.row(Table.FIELD_RVA, found[0])[0] if found else None

    def class_layout(self, rid: int) -> tuple[int, int] | None:
        """(packing size, class size) in bytes of a type with explicit layout; None without such a row."""
        found = self.tables.rows_with(Table.CLASS_LAYOUT, 2, rid)
        if not found:
            return None
        packing, size, _ = self.tables.row(Table.CLASS_LAYOUT, found[0])
        return packing, size

    def constant(self, parent: int) -> Constant | None:
        """The literal value of a field, parameter or property (token); None when it has none."""
        found = self.tables.rows_with(Table.CONSTANT, 2, self.tables.coded("HasConstant", parent))
        if not found:
            return None
        element_type, _, _, value = self.tables.row(Table.CONSTANT, found[0])
        return Constant(element_type, self.blobs[value])

    def interfaces(self, rid: int) -> list[int]:
        """Tokens of the interfaces that a type definition lists."""
        rows = self.tables.rows_with(Table.INTERFACE_IMPL, 0, rid)
        return [self.tables.token(Table.INTERFACE_IMPL, 1, self.tables.row(Table.INTERFACE_IMPL, row)[1]) for row in rows]

    def generic_params(self, owner: int) -> list[GenericParam]:
        """Type parameters of a TypeDef or MethodDef token in order of their number."""
        rows = self.tables.rows_with(Table.GENERIC_PARAM, 2, self.tables.coded("TypeOrMethodDef", owner))
        return sorted((self.generic_param(row) for row in rows), key=lambda parameter: parameter.number)

    def generic_param(self, rid: int) -> GenericParam:
        """A type parameter with its constraints."""
        number, flags, owner, name = self.tables.row(Table.GENERIC_PARAM, rid)
        rows = self.tables.rows_with(Table.GENERIC_PARAM_CONSTRAINT, 0, rid)
        constraint = Table.GENERIC_PARAM_CONSTRAINT
        tokens = tuple(self.tables.token(constraint, 1, self.tables.row(constraint, row)[1]) for row in rows)
        return GenericParam(rid, number, flags, self.tables.token(Table.GENERIC_PARAM, 2, owner), self.strings[name], tokens)

    def custom_attributes(self, parent: int) -> list[CustomAttribute]:
        """Attributes on the row with token `parent`."""
        rows = self.tables.rows_with(Table.CUSTOM_ATTRIBUTE, 0, self.tables.coded("HasCustomAttribute", parent))
        return [self.custom_attribute(row) for row in rows]

    def custom_attribute(self, rid: int) -> CustomAttribute:
        """An attribute row."""
        parent, constructor, value = self.tables.row(Table.CUSTOM_ATTRIBUTE, rid)
        attribute = Table.CUSTOM_ATTRIBUTE
        constructor_token = self.tables.token(attribute, 1, constructor)
        return CustomAttribute(rid, self.tables.token(attribute, 0, parent), constructor_token, self.blobs[value])

    def exported_type(self, rid: int) -> ExportedType:
        """A row of the ExportedType table (forwarders)."""
        flags, _, name, namespace, implementation = self.tables.row(Table.EXPORTED_TYPE, rid)
        token = self.tables.token(Table.EXPORTED_TYPE, 4, implementation)
        return ExportedType(rid, flags, self.strings[name], self.strings[namespace], token)

    def find_typedef(self, namespace: str, name: str) -> int | None:
        """Row id of the top-level type with that namespace and metadata name (arity after a backtick); None if there is none."""
        if self._typedef_names is None:
            self._typedef_names = self._index_typedefs()
        return self._typedef_names.get((namespace, name))

    def _index_typedefs(self) -> dict[tuple[str, str], int]:
        nested = set(self.tables.column_list(Table.NESTED_CLASS, 0))
        names = self.tables.column_list(Table.TYPE_DEF, 1)
        namespaces = self.tables.column_list(Table.TYPE_DEF, 2)
        index: dict[tuple[str, str], int] = {}
        for rid, (name, namespace) in enumerate(zip(names, namespaces, strict=True), 1):
            if rid not in nested:
                index.setdefault((self.strings[namespace], self.strings[name]), rid)
        return index

    def find_type(self, full_name: str) -> int | None:
        """Row id of a type by full metadata name, nested ones with '+' (`Ns.Outer+Inner`); None when the module has no such type."""
        outer, *inner = full_name.split("+")
        namespace, _, name = outer.rpartition(".")
        rid = self.find_typedef(namespace, name)
        for part in inner:
            if rid is None:
                return None
            rid = next((row for row in self.nested(rid) if self.typedef(row).name == part), None)
        return rid

    def typedef_full_name(self, rid: int) -> str:
        """Namespace and metadata name, enclosing types first and joined by '+'. Raises Malformed on a loop of enclosing types."""
        known = self._full_names.get(rid)
        if known is not None:
            return known
        parts: list[str] = []
        row: int | None = rid
        namespace = ""
        while row is not None:
            if len(parts) > 64:
                raise Malformed(f"type {rid} is nested more than 64 deep: its enclosing types form a loop")
            _, name, space, *_ = self.tables.row(Table.TYPE_DEF, row)
            parts.append(self.strings[name])
            namespace = self.strings[space] or namespace
            row = self.enclosing(row)
        full = self._full_names[rid] = _join(namespace, parts)
        return full

    def typeref_full_name(self, rid: int) -> str:
        """As `typedef_full_name`, for a reference. Raises Malformed on a loop of scopes."""
        parts: list[str] = []
        namespace = ""
        for _ in range(64):
            reference = self.typeref(rid)
            parts.append(reference.name)
            namespace = reference.namespace or namespace
            if reference.scope >> 24 != Table.TYPE_REF:
                return _join(namespace, parts)
            rid = reference.scope & 0xFFFFFF
        raise Malformed(f"type reference {rid} is nested more than 64 deep: its scopes form a loop")


def _join(namespace: str, parts_inner_first: list[str]) -> str:
    name = "+".join(reversed(parts_inner_first))
    return f"{namespace}.{name}" if namespace else name
