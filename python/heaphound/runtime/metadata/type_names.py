"""Signature trees as C# writes them: generic arguments beside the part of the name that declares them, `+` between nested types.

Array suffixes stand in the order of the runtime's own names (element first): an array of `T[,]` is `T[,][]`.
"""

from collections.abc import Sequence
from typing import Protocol

from heaphound.errors import Malformed
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
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

_MAXIMUM_SPECIFICATIONS = 64  # TypeSpec tokens that one name leads to; compilers write none inside another, a forged fan-out must end


class Resolver(Protocol):
    """Gives the metadata name (`Ns.Outer`1+Inner`) of what a signature refers to."""

    def token_name(self, token: int) -> str:
        """Full metadata name of a TypeDef, TypeRef or TypeSpec token."""

    def handle_name(self, address: int) -> str:
        """Name of a runtime type handle inside a dynamic signature."""


class MetadataResolver:
    """Names out of the module's own metadata. A runtime handle is named by its address."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def token_name(self, token: int) -> str:
        """Full name of a type token. Raises Malformed on another kind of token."""
        return type_token_name(self._metadata, token)

    def handle_name(self, address: int) -> str:
        """A placeholder that shows the handle's address."""
        return f"<type handle {address:#x}>"


def type_token_name(metadata: Metadata, token: int) -> str:
    """Name of a TypeDef or TypeRef (metadata form, arity after a backtick) or TypeSpec (C# form). Raises Malformed on other tokens."""
    return _SpecificationResolver(metadata).token_name(token)


class _SpecificationResolver:
    """Resolver that counts the TypeSpecs which lead into each other."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._left = _MAXIMUM_SPECIFICATIONS

    def token_name(self, token: int) -> str:
        table, rid = token >> 24, token & 0xFFFFFF
        if table == Table.TYPE_DEF:
            return self._metadata.typedef_full_name(rid)
        if table == Table.TYPE_REF:
            return self._metadata.typeref_full_name(rid)
        self._left -= 1
        if table != Table.TYPE_SPEC or self._left < 0:
            raise Malformed(f"token {token:#010x} names no type")
        return type_name(type_specification(self._metadata.typespec(rid)), self)

    def handle_name(self, address: int) -> str:
        return f"<type handle {address:#x}>"


def type_name(node: SignatureType, resolver: Resolver, type_arguments: Sequence[str] = (), method_arguments: Sequence[str] = ()) -> str:
    """C# name of a signature type. Type parameters are replaced by the given names, else written `!0` and `!!0`."""
    printer = _Printer(resolver, type_arguments, method_arguments)
    return printer.name(node)


def signature_name(
    signature: MethodSignature, resolver: Resolver, type_arguments: Sequence[str] = (), method_arguments: Sequence[str] = ()
) -> str:
    """Parameter list of a method as `(System.Object, System.Int32)`."""
    printer = _Printer(resolver, type_arguments, method_arguments)
    return "(" + ", ".join(printer.name(parameter) for parameter in signature.parameters) + ")"


def with_arguments(name: str, arguments: Sequence[str]) -> str:
    """Put generic arguments into a metadata name, each part of a nested name taking as many as its arity says.

    `A`1+B`1` with [X, Y] gives `A<X>+B<Y>`; arguments beyond the arities (a compiler may leave the backtick out) go to the end.
    """
    left = list(arguments)
    parts = []
    for part in name.split("+"):
        plain, tick, arity = part.rpartition("`")
        count = int(arity) if tick and arity.isdecimal() and len(arity) < 5 else 0
        if not count or count > len(left):
            parts.append(part)
            continue
        parts.append(f"{plain}<{', '.join(left[:count])}>")
        left = left[count:]
    text = "+".join(parts)
    return f"{text}<{', '.join(left)}>" if left else text


class _Printer:
    """Recursive over the tree, whose depth the decoder bounds."""

    def __init__(self, resolver: Resolver, type_arguments: Sequence[str], method_arguments: Sequence[str]) -> None:
        self._resolver = resolver
        self._type_arguments = type_arguments
        self._method_arguments = method_arguments

    def name(self, node: SignatureType) -> str:
        match node:
            case Primitive():
                return node.name
            case Named(token):
                return self._resolver.token_name(token)
            case Internal(address):
                return self._resolver.handle_name(address)
            case GenericInstance(definition, arguments):
                return with_arguments(self.name(definition), [self.name(argument) for argument in arguments])
            case TypeParameter(number):
                return self._type_arguments[number] if number < len(self._type_arguments) else f"!{number}"
            case MethodParameter(number):
                return self._method_arguments[number] if number < len(self._method_arguments) else f"!!{number}"
            case Vector(element):
                return self.name(element) + "[]"
            case Array(element, rank):
                return self.name(element) + "[" + "," * (rank - 1) + "]"
            case Pointer(target):
                return self.name(target) + "*"
            case ByReference(target):
                return self.name(target) + "&"
            case FunctionPointer(method):
                return self._function_pointer(method)
            case Modified(_, _, inner) | Pinned(inner):
                return self.name(inner)

    def _function_pointer(self, method: MethodSignature) -> str:
        types = [*method.parameters, method.returns]
        return "delegate*<" + ", ".join(self.name(item) for item in types) + ">"
