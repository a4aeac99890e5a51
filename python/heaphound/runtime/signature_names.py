"""Names of the types in a signature by metadata alone: a small dump has the signatures of methods on its stacks, and few of their types."""

from collections.abc import Sequence

from heaphound.errors import Malformed
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.generics import ResolvedType, SignatureResolver
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.modules import Module
from heaphound.runtime.signatures import Primitive, SignatureType
from heaphound.runtime.type_names import array_name


class SignatureNames(SignatureResolver):
    """As its base, and looks for no loaded type: what it gives has a name and a kind."""

    def resolve(
        self, node: SignatureType, module: Module, arguments: Sequence[ResolvedType] = (), method_arguments: Sequence[ResolvedType] = ()
    ) -> ResolvedType:
        """The type of a signature of `module`. Raises Malformed, and Unreadable where even the metadata is not in the dump."""
        if isinstance(node, Primitive):
            return ResolvedType(node.name, node.element_type, None)
        return super().resolve(node, module, arguments, method_arguments)

    def token(
        self,
        module: Module,
        token: int,
        is_value_type: bool = False,
        arguments: Sequence[ResolvedType] = (),
        method_arguments: Sequence[ResolvedType] = (),
    ) -> ResolvedType:
        """The type of a TypeDef, TypeRef or TypeSpec token of `module`. Raises Malformed."""
        table, row = token >> 24, token & 0xFFFFFF
        if module.metadata is None or table not in (Table.TYPE_DEF, Table.TYPE_REF):
            return super().token(module, token, is_value_type, arguments, method_arguments)
        name = module.metadata.typedef_full_name(row) if table == Table.TYPE_DEF else module.metadata.typeref_full_name(row)
        if not name:
            raise Malformed(f"token {token:#010x} of {module.name} has no name")
        return ResolvedType(name, ElementType.VALUE_TYPE if is_value_type else ElementType.CLASS, None)

    def _array(self, element: ResolvedType, rank: int, is_vector: bool) -> ResolvedType:
        kind = ElementType.VECTOR if is_vector else ElementType.ARRAY
        return ResolvedType(array_name(element.name, rank, is_vector), kind, None, element=element)
