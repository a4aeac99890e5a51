"""A type system with two types, for tests of what is built on it: MethodTable 0x5000 is Zoo.Cat, 0x5100 Zoo.Box<System.String>."""

from types import SimpleNamespace
from typing import Any

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.signatures import MethodParameter, Primitive, SignatureType, TypeParameter

CAT, BOX, MODULE = 0x5000, 0x5100, 0x6000
METHODS = {
    7: SimpleNamespace(name="Purr", signature=b"\x20\x01\x01\x08"),  # void (int)
    0x4009: SimpleNamespace(name="Put", signature=b"\x30\x01\x02\x01\x13\x00\x1e\x00"),  # void <T>(the type's T, the method's T)
    8: SimpleNamespace(name="Torn", signature=b"\x20\x01\x01"),
}
STRING = ResolvedType("System.String", 0x0E, None)


class FakeTypes:
    """Answers what `Methods` and `CodeLocator` ask of a TypeSystem."""

    def __init__(self, memory: Memory, layout: Layout, descs: dict[int, int] | None = None) -> None:
        self.memory = memory
        self.layout = layout
        self.maps = SimpleNamespace(get=lambda _table, row: (descs or {}).get(row, 0))
        metadata = SimpleNamespace(methoddef=METHODS.__getitem__, method_owner=lambda _row: 2, typedef_full_name=lambda _row: "Zoo.Cat")
        self.module = SimpleNamespace(address=MODULE, name="Zoo", metadata=metadata, metadata_missing=None)
        self.signatures = self

    def type(self, method_table: int) -> Any:
        """One of the two types."""
        names = {CAT: ("Zoo.Cat", ()), BOX: ("Zoo.Box<System.String>", (STRING,))}
        if method_table not in names:
            raise Malformed(f"there is no MethodTable at {method_table:#x}")
        name, arguments = names[method_table]
        return SimpleNamespace(name=name, method_table=method_table, module=self.module, module_address=MODULE, generic_arguments=arguments)

    def module_at(self, address: int) -> Any:
        """The one module."""
        return self.module if address == MODULE else None

    def defined_type(self, _module: Any, _row: int) -> Any:
        """Zoo.Cat."""
        return self.type(CAT)

    def resolve_handle(self, handle: int) -> ResolvedType:
        """A type named after its handle."""
        return ResolvedType(f"Ns.T{handle:x}", 0x12, None)

    def resolve(self, node: SignatureType, _module: Any, arguments: Any = (), method_arguments: Any = ()) -> ResolvedType:
        """Built-in types and type parameters."""
        match node:
            case Primitive():
                return ResolvedType(node.name, node.element_type, None)
            case TypeParameter(number):
                return arguments[number]  # type: ignore[no-any-return]
            case MethodParameter(number):
                return method_arguments[number]  # type: ignore[no-any-return]
        raise AssertionError(node)
