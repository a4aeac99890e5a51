"""Methods and fields by token, wherever they are declared: declaring type, name, signature, generic arguments."""

from dataclasses import dataclass

from heaphound.errors import Malformed
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import MetadataResolver, signature_name, type_name, type_token_name, with_arguments
from heaphound.runtime.signatures import GenericInstance, Named, method_instantiation, method_signature, type_specification


@dataclass(frozen=True, slots=True)
class Member:
    """A method or field that code refers to.

    `declaring_type` is the metadata name of the type's definition (`Ns.Outer`1+Inner`), with which two modules mean the same type;
    `declaring_type_name` has the generic arguments of this use as C# writes them. `method_arguments` are names of a generic method's
    arguments. `signature` is the raw blob. For an array's own methods and global functions the declaring type is the array or "".
    """

    token: int
    declaring_type: str
    declaring_type_name: str
    name: str
    signature: bytes
    method_arguments: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Declaring type with its arguments, a dot, the name with its generic arguments."""
        arguments = f"<{', '.join(self.method_arguments)}>" if self.method_arguments else ""
        prefix = f"{self.declaring_type_name}." if self.declaring_type_name else ""
        return f"{prefix}{self.name}{arguments}"


def member(metadata: Metadata, token: int) -> Member:
    """What a MethodDef, MemberRef, MethodSpec or Field token means. Raises Malformed for other tokens and bad rows."""
    table, rid = token >> 24, token & 0xFFFFFF
    if table == Table.METHOD_DEF:
        method = metadata.methoddef(rid)
        return _own(metadata, token, metadata.method_owner(rid), method.name, method.signature)
    if table == Table.FIELD:
        field = metadata.field(rid)
        return _own(metadata, token, metadata.field_owner(rid), field.name, field.signature)
    if table == Table.MEMBER_REF:
        return _reference(metadata, token)
    if table == Table.METHOD_SPEC:
        spec = metadata.methodspec(rid)
        if spec.method >> 24 == Table.METHOD_SPEC:
            raise Malformed(f"method specification {token:#010x} refers to another one")
        generic = member(metadata, spec.method)
        resolver = MetadataResolver(metadata)
        arguments = tuple(type_name(item, resolver) for item in method_instantiation(spec.instantiation))
        return Member(token, generic.declaring_type, generic.declaring_type_name, generic.name, generic.signature, arguments)
    raise Malformed(f"token {token:#010x} is no method or field")


def _own(metadata: Metadata, token: int, owner: int, name: str, signature: bytes) -> Member:
    declaring = "" if owner == 1 and metadata.typedef(1).name == "<Module>" else metadata.typedef_full_name(owner)
    return Member(token, declaring, open_type_name(metadata, owner, declaring), name, signature)


def open_type_name(metadata: Metadata, typedef_rid: int, name: str | None = None) -> str:
    """C# name of a type definition with the names of its own type parameters: `Ns.Outer<T>+Inner`."""
    full = metadata.typedef_full_name(typedef_rid) if name is None else name
    parameters = metadata.generic_params(Table.TYPE_DEF << 24 | typedef_rid)
    return with_arguments(full, [parameter.name for parameter in parameters])


def _reference(metadata: Metadata, token: int) -> Member:
    reference = metadata.memberref(token & 0xFFFFFF)
    table, rid = reference.parent >> 24, reference.parent & 0xFFFFFF
    if table in (Table.TYPE_DEF, Table.TYPE_REF):
        declaring = type_token_name(metadata, reference.parent)
        return Member(token, declaring, declaring, reference.name, reference.signature)
    if table == Table.TYPE_SPEC:
        definition, shown = type_specification_names(metadata, rid)
        return Member(token, definition, shown, reference.name, reference.signature)
    if table == Table.METHOD_DEF:  # a vararg call site of an own method
        method = member(metadata, reference.parent)
        return Member(token, method.declaring_type, method.declaring_type_name, method.name, reference.signature)
    return Member(token, "", "", reference.name, reference.signature)


def type_specification_names(metadata: Metadata, rid: int) -> tuple[str, str]:
    """(metadata name of the definition, C# name with arguments) of a TypeSpec; twice the same for arrays, pointers and parameters."""
    node = type_specification(metadata.typespec(rid))
    shown = type_name(node, MetadataResolver(metadata))
    if isinstance(node, GenericInstance) and isinstance(node.definition, Named):
        return type_token_name(metadata, node.definition.token), shown
    return shown, shown


def method_display_name(metadata: Metadata, method_rid: int) -> str:
    """`Ns.Type.Method<T>(System.String)`: a method of this module with its parameter types, type parameters by their names."""
    method = metadata.methoddef(method_rid)
    owner = metadata.method_owner(method_rid)
    type_parameters = [parameter.name for parameter in metadata.generic_params(Table.TYPE_DEF << 24 | owner)]
    own_parameters = [parameter.name for parameter in metadata.generic_params(Table.METHOD_DEF << 24 | method_rid)]
    resolver = MetadataResolver(metadata)
    parameters = signature_name(method_signature(method.signature), resolver, type_parameters, own_parameters)
    generic = f"<{', '.join(own_parameters)}>" if own_parameters else ""
    declaring = open_type_name(metadata, owner)
    prefix = "" if declaring == "<Module>" else declaring + "."
    return f"{prefix}{method.name}{generic}{parameters}"
