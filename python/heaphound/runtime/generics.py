"""Types as signatures name them, with the generic context put in exactly, and found again among the loaded types.

The runtime shares the class of an instantiation over references (`G<string>` has the fields of `G<__Canon>`), so a field's type cannot be
read off the class: it is resolved from the metadata signature in the context of the exact instantiation. Where the exact value type was
never loaded (`KeyValuePair<string, int>` in `G<string>`), its shared form has the same offsets and serves as `layout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import REFERENCES, ElementType
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import with_arguments
from heaphound.runtime.modules import Module
from heaphound.runtime.signatures import (
    Array,
    ByReference,
    FunctionPointer,
    GenericInstance,
    Internal,
    MethodParameter,
    MethodSignature,
    Modified,
    Named,
    Pinned,
    Pointer,
    Primitive,
    SignatureType,
    TypeParameter,
    Vector,
    type_specification,
)
from heaphound.runtime.type_names import array_name, function_pointer_name

if TYPE_CHECKING:
    from heaphound.runtime.types import Type
    from heaphound.runtime.typesystem import TypeSystem

Identity = int | str
Key = tuple[Identity, ...]


@dataclass(frozen=True, slots=True)
class ResolvedType:
    """A type by name. `type` is its MethodTable's Type, None when it is not loaded (or has none, as pointers).

    `layout` is a type whose field offsets hold for it: itself or the shared form; None where neither is loaded. `element` is that of
    arrays, pointers and by-references. `handle` is the address of a TypeDesc, 0 for others.
    """

    name: str
    element_type: int
    type: Type | None = field(repr=False)
    arguments: tuple[ResolvedType, ...] = field(default=(), repr=False)
    layout: Type | None = field(default=None, repr=False)
    element: ResolvedType | None = field(default=None, repr=False)
    handle: int = field(default=0, repr=False)

    @property
    def identity(self) -> Identity:
        """What tells it from others: the address of its MethodTable or TypeDesc, else its name."""
        return self.type.method_table if self.type is not None else self.handle or self.name

    @property
    def is_reference(self) -> bool:
        """Whether values of it are references to objects."""
        return self.element_type in REFERENCES

    def shared(self, canon: int) -> Identity:
        """Its identity as an argument of shared code: any reference type is System.__Canon, a value type its shared form."""
        if self.is_reference:
            return canon
        return self.layout.canonical.method_table if self.layout is not None else self.identity


class Instantiations:
    """Loaded generic instantiations and arrays by what they are made of. Built from all loaded types when first asked."""

    def __init__(self, system: TypeSystem) -> None:
        self._system = system
        self._found: dict[Key, int] | None = None

    def generic(self, definition: Type, arguments: Sequence[ResolvedType]) -> tuple[Type | None, Type | None]:
        """(exact instantiation, one with its layout); None where not loaded."""
        exact = self._get((definition.module_address, definition.row or 0, *(part.identity for part in arguments)))
        if exact is not None:
            return exact, exact
        canon = self._system.well_known("CanonMethodTable")
        return None, self._get((definition.module_address, definition.row or 0, *(part.shared(canon) for part in arguments)))

    def array(self, element: ResolvedType, rank: int, is_vector: bool) -> Type | None:
        """The array type; None while it is not loaded."""
        return self._get(("[]", 0 if is_vector else rank, element.identity))

    def add(self, method_tables: Iterable[int]) -> None:
        """Index further types; nothing before the first question."""
        if self._found is not None:
            self._index(self._found, method_tables)

    def _get(self, key: Key) -> Type | None:
        if self._found is None:
            self._found = {}
            self._index(self._found, self._system.loaded())
        address = self._found.get(key)
        return None if address is None else self._system.type(address)

    def _index(self, found: dict[Key, int], method_tables: Iterable[int]) -> None:
        for address in method_tables:
            try:
                key = self._key(self._system.type(address))
            except (Unreadable, Malformed):
                continue  # what cannot be read cannot be the answer to a question either
            if key is not None:
                found.setdefault(key, address)

    def _key(self, found: Type) -> Key | None:
        tables, bit = self._system.method_tables, self._system.layout.constant("TypeHandle.TypeDescBit")
        if found.is_array:
            element = self._system.untagged_array(tables.element(found.method_table))
            return ("[]", 0 if found.is_vector else found.rank, element & ~bit)
        if not found.is_generic or found.is_generic_definition:
            return None
        arguments = (self._system.untagged_array(handle) & ~bit for handle in tables.arguments(found.method_table))
        return (found.module_address, found.row or 0, *arguments)


class SignatureResolver:
    """Signature trees → ResolvedType. Depth is bounded by the signature decoder, TypeSpec chains here."""

    def __init__(self, system: TypeSystem) -> None:
        self._system = system
        self._depth = 0

    def resolve(
        self, node: SignatureType, module: Module, arguments: Sequence[ResolvedType] = (), method_arguments: Sequence[ResolvedType] = ()
    ) -> ResolvedType:
        """The type of a signature of `module`, type parameters replaced by `arguments` and `method_arguments`.

        Raises Malformed for a signature that refers to what is not there, Unreadable.
        """
        match node:
            case Primitive(element_type):
                return self._system.primitive(element_type, node.name)
            case Named(token, is_value_type):
                return self.token(module, token, is_value_type, arguments, method_arguments)
            case Internal(address):
                return self._system.resolve_handle(address)
            case TypeParameter(number):
                return _parameter(arguments, number, "!")
            case MethodParameter(number):
                return _parameter(method_arguments, number, "!!")
            case GenericInstance(definition, parts):
                made = [self.resolve(part, module, arguments, method_arguments) for part in parts]
                return self._instance(self.resolve(definition, module), made)
            case FunctionPointer(method):
                return self._function_pointer(method, module, arguments, method_arguments)
            case Modified(_, _, inner) | Pinned(inner):
                return self.resolve(inner, module, arguments, method_arguments)
            case Vector(element):
                return self._array(self.resolve(element, module, arguments, method_arguments), 1, True)
            case Array(element, rank):
                return self._array(self.resolve(element, module, arguments, method_arguments), rank, False)
            case Pointer(target):
                inner_type = self.resolve(target, module, arguments, method_arguments)
                return ResolvedType(inner_type.name + "*", ElementType.POINTER, None, element=inner_type)
            case ByReference(target):
                inner_type = self.resolve(target, module, arguments, method_arguments)
                return ResolvedType(inner_type.name + "&", ElementType.BY_REFERENCE, None, element=inner_type)

    def token(
        self,
        module: Module,
        token: int,
        is_value_type: bool = False,
        arguments: Sequence[ResolvedType] = (),
        method_arguments: Sequence[ResolvedType] = (),
    ) -> ResolvedType:
        """The type of a TypeDef, TypeRef or TypeSpec token of `module`. Raises Malformed for other tokens and loops of TypeSpecs."""
        table, row = token >> 24, token & 0xFFFFFF
        metadata = module.metadata
        if metadata is None:
            raise Malformed(f"no metadata of {module.name}: {module.metadata_missing}")
        if table == Table.TYPE_SPEC:
            return self._specification(module, metadata.typespec(row), arguments, method_arguments)
        if table == Table.TYPE_DEF:
            return _definition(self._system.defined_type(module, row), metadata.typedef_full_name(row), is_value_type)
        if table != Table.TYPE_REF:
            raise Malformed(f"token {token:#010x} of {module.name} names no type")
        return _definition(self._referenced(module, row), metadata.typeref_full_name(row), is_value_type)

    def _specification(
        self, module: Module, blob: bytes, arguments: Sequence[ResolvedType], method_arguments: Sequence[ResolvedType]
    ) -> ResolvedType:
        if self._depth > LIMITS.type_nesting:
            raise LimitExceeded(f"type specifications of {module.name} lead into each other more than {LIMITS.type_nesting} deep")
        self._depth += 1
        try:
            return self.resolve(type_specification(blob), module, arguments, method_arguments)
        finally:
            self._depth -= 1

    def _referenced(self, module: Module, row: int) -> Type | None:
        """A TypeRef's type: as the runtime resolved it, else by name: in the module's own load context first, then anywhere."""
        found = self._system.referenced_type(module, row)
        if found is not None or module.metadata is None:
            return found
        name = module.metadata.typeref_full_name(row)
        same = [other for other in self._system.modules if other.binder == module.binder]
        rest = [other for other in self._system.modules if other.binder != module.binder]
        for other in [self._system.core_library, *same, *rest]:
            there = other.metadata.find_type(name) if other.metadata is not None else None
            if there is not None:
                return self._system.defined_type(other, there)
        return None

    def _instance(self, definition: ResolvedType, arguments: list[ResolvedType]) -> ResolvedType:
        plain = definition.name if definition.type is None else definition.type.definition_name
        name = with_arguments(plain, [part.name for part in arguments])
        exact, layout = (None, None) if definition.type is None else self._system.instantiations.generic(definition.type, arguments)
        return ResolvedType(name, definition.element_type, exact, arguments=tuple(arguments), layout=layout)

    def _array(self, element: ResolvedType, rank: int, is_vector: bool) -> ResolvedType:
        found = self._system.instantiations.array(element, rank, is_vector)
        kind = ElementType.VECTOR if is_vector else ElementType.ARRAY
        return ResolvedType(array_name(element.name, rank, is_vector), kind, found, layout=found, element=element)

    def _function_pointer(
        self, method: MethodSignature, module: Module, arguments: Sequence[ResolvedType], method_arguments: Sequence[ResolvedType]
    ) -> ResolvedType:
        returns, *parameters = [
            self.resolve(part, module, arguments, method_arguments).name for part in (method.returns, *method.parameters)
        ]
        return ResolvedType(function_pointer_name(returns, parameters), ElementType.FUNCTION_POINTER, None)


def _definition(found: Type | None, name: str, is_value_type: bool) -> ResolvedType:
    if found is None:
        return ResolvedType(name, ElementType.VALUE_TYPE if is_value_type else ElementType.CLASS, None)
    return found.resolved


def _parameter(arguments: Sequence[ResolvedType], number: int, mark: str) -> ResolvedType:
    if number < len(arguments):
        return arguments[number]
    kind = ElementType.TYPE_PARAMETER if mark == "!" else ElementType.METHOD_PARAMETER
    return ResolvedType(f"{mark}{number}", kind, None)
