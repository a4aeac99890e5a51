"""Methods: what a MethodDesc, or a row of a module's MethodDef table, is called.

src/coreclr/vm/method.hpp of 6.0 to 10.0: MethodDescs lie in chunks; a MethodDesc knows its place in the chunk and the low bits of its
token, the chunk has the MethodTable and the high bits. The MethodTable is the shared one for code shared between reference types.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.async_methods import async_signature
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.modules import Module
from heaphound.runtime.signature_names import SignatureNames
from heaphound.runtime.signatures import MethodSignature, method_signature
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem

MethodKind = Literal["managed", "internal call", "p/invoke", "runtime", "array", "dynamic", "il stub"]

_CLASSIFICATION = 7  # MethodDesc flags, MethodClassification of method.hpp
_FCALL, _PINVOKE, _RUNTIME, _ARRAY, _INSTANTIATED, _DYNAMIC = 1, 2, 3, 4, 5, 7
_KINDS: dict[int, MethodKind] = {_FCALL: "internal call", _PINVOKE: "p/invoke", _RUNTIME: "runtime", _ARRAY: "array"}
_ARRAY_METHODS = ("Get", "Set", "Address")  # the first of an array type's methods; constructors follow (array.cpp)
_TOKEN_BITS = 24
_ABSTRACT = 0x400  # MethodAttributes (ECMA-335 II.23.1.10)


@dataclass(frozen=True, slots=True)
class Method:
    """One method. Names are C#-like: `full_name` is `Ns.Type.Method<T>(System.Int32, Ns.Other)`, `name` the method's alone.

    `method_desc` is None for ready-to-run code of which only the image tells. `declaring_type` is the exact instantiation where the runtime
    has one, else the shared one over System.__Canon. `method_table` is None where the type is not loaded. `module` is the address of the
    Module, `token` 0 for methods without metadata (`kind` dynamic, il stub, array).
    """

    full_name: str
    name: str
    declaring_type: str
    method_desc: int | None
    method_table: int | None
    module: int
    token: int
    kind: MethodKind
    generic_arguments: tuple[str, ...] = ()

    @property
    def rid(self) -> int:
        """Row id in the MethodDef table, 0 without metadata."""
        return self.token & 0xFFFFFF

    @property
    def is_dynamic(self) -> bool:
        """Whether it was made at run time, without metadata (DynamicMethod, marshalling and other stubs)."""
        return self.kind in ("dynamic", "il stub")


class Methods:
    """Names methods, each once."""

    def __init__(self, typesystem: TypeSystem) -> None:
        self.types = typesystem
        self._memory = typesystem.memory
        self._layout = typesystem.layout
        self._known: dict[int, Method] = {}
        self._of_types: dict[tuple[str, int], Method] = {}

    def method(self, method_desc: int) -> Method:
        """The method of a MethodDesc. Raises Unreadable, or Malformed when there is none at that address."""
        known = self._known.get(method_desc)
        if known is None:
            known = self._known[method_desc] = self._read(method_desc)
        return known

    def defined(self, module: Module, rid: int) -> Method:
        """The method of a MethodDef row: its MethodDesc where the module has one for it, else what metadata says. Raises Malformed."""
        table = module.address + self._layout.offset("Module", "MethodDefToDescMap")
        try:
            method_desc = self.types.maps.get(table, rid)
        except (Unreadable, LimitExceeded):
            method_desc = 0
        return self.method(method_desc) if method_desc else self.described(module, rid)

    def described(self, module: Module, rid: int, owner: str | None = None, arguments: Sequence[str] = ()) -> Method:
        """A method by metadata alone, `owner` being the exact name of its type if that is an instantiation. Raises Malformed."""
        if module.metadata is None:
            raise Malformed(f"no metadata of {module.name}: {module.metadata_missing}")
        definition = module.metadata.methoddef(rid)
        row = module.metadata.method_owner(rid)
        loaded = [] if owner is None else self.types.find(owner)
        declaring = loaded[0] if loaded else self.types.defined_type(module, row)
        name = owner or (module.metadata.typedef_full_name(row) if declaring is None else declaring.name)
        context = () if declaring is None else declaring.generic_arguments
        own = [ResolvedType(argument, 0, None) for argument in arguments]
        return Method(
            full_name=f"{name}.{_generic(definition.name, arguments)}{self._parameters(definition.signature, module, context, own)}",
            name=definition.name,
            declaring_type=name,
            method_desc=None,
            method_table=None if declaring is None else declaring.method_table,
            module=module.address,
            token=0x06000000 | rid,
            kind="managed",
            generic_arguments=tuple(arguments),
        )

    def of_type(self, method: Method, owner: Type) -> Method:
        """The same method as a member of another instantiation of its class. Raises Unreadable, Malformed."""
        key = (method.full_name, owner.method_table)
        known = self._of_types.get(key)
        if known is None:
            if method.method_desc is None:
                known = self.described(self.module_of(method), method.rid, owner.name, method.generic_arguments)
            else:
                flags = self._memory.u16(method.method_desc + self._layout.offset("MethodDesc", "Flags"))
                known = self._managed(method.method_desc, owner, method.rid, flags & _CLASSIFICATION)
            self._of_types[key] = known
        return known

    def has_this(self, method: Method) -> bool:
        """Whether a method with metadata is an instance method. Raises Malformed."""
        return self.signature(method).has_this

    def is_abstract(self, method: Method) -> bool:
        """Whether a method with metadata has no body of its own, for a class to give it one. Raises Malformed."""
        metadata = self.module_of(method).metadata
        return metadata is not None and bool(method.rid) and bool(metadata.methoddef(method.rid).flags & _ABSTRACT)

    def signature(self, method: Method) -> MethodSignature:
        """The signature of a method, by its metadata or, of one made at run time, as it was made with; of an asynchronous method that is
        called by `await`, that of the call. Raises Unreadable, Malformed."""
        if method.is_dynamic and method.method_desc is not None:
            return method_signature(self._stored_signature(method.method_desc))
        awaited = None if method.method_desc is None else async_signature(self._memory, self._layout, method.method_desc)
        if awaited is not None:
            return method_signature(awaited)
        module = self.module_of(method)
        if module.metadata is None:
            raise Malformed(f"no metadata of {module.name}: {module.metadata_missing}")
        if not method.rid:
            raise Malformed(f"{method.full_name} has no metadata")
        return method_signature(module.metadata.methoddef(method.rid).signature)

    def arguments_of(self, method: Method) -> tuple[tuple[ResolvedType, ...], tuple[ResolvedType, ...]]:
        """(generic arguments of its type, its own generic arguments) of a method. Raises Unreadable, Malformed."""
        owner = () if method.method_table is None else self.types.type(method.method_table).generic_arguments
        if not method.generic_arguments:
            return owner, ()
        if method.method_desc is None:
            return owner, tuple(ResolvedType(name, ElementType.CLASS, None) for name in method.generic_arguments)
        return owner, self._method_arguments(method.method_desc)

    def in_slot(self, method_table: int, slot: int) -> int:
        """MethodDesc of the method that a class or one of its bases declared in a slot of their vtable. Raises Malformed where none did.

        MethodDescs have different sizes: each place in a chunk is one that says so itself, and whose row is a method of the class.
        """
        found = self.types.type(method_table)
        for owner in (found, *found.bases()):
            for method_desc in self._declared(owner):
                if self._memory.u16(method_desc + self._layout.offset("MethodDesc", "Slot")) == slot:
                    return method_desc
        raise Malformed(f"no method of the class at {method_table:#x} has slot {slot}")

    def _declared(self, owner: Type) -> Iterator[int]:
        """MethodDescs of the methods that a class declares."""
        memory, layout = self._memory, self._layout
        module = owner.module
        if module is None or module.metadata is None or not owner.row:
            return
        rows = set(module.metadata.typedef(owner.row).methods)
        chunk = memory.pointer(owner.eeclass + layout.offset("EEClass", "MethodDescChunk"))
        unit = layout.constant("MethodDescAlignment")
        for _ in range(LIMITS.method_chunks):
            if not chunk:
                return
            first = chunk + layout.size("MethodDescChunk")
            for index in range(memory.u8(chunk + layout.offset("MethodDescChunk", "Size")) + 1):
                method_desc = first + index * unit
                if memory.u8(method_desc + layout.offset("MethodDesc", "ChunkIndex")) == index and self._token(method_desc, chunk) in rows:
                    yield method_desc
            chunk = memory.pointer(chunk + layout.offset("MethodDescChunk", "Next"))
        raise LimitExceeded(f"the class at {owner.method_table:#x} has more than {LIMITS.method_chunks} chunks of methods")

    def module_of(self, method: Method) -> Module:
        """The module of a method. Raises Malformed where it is not among the loaded ones."""
        module = self.types.module_at(method.module)
        if module is None:
            raise Malformed(f"the module of {method.full_name} is not in the list of loaded assemblies")
        return module

    def _read(self, method_desc: int) -> Method:
        memory, layout = self._memory, self._layout
        if method_desc & (layout.constant("MethodDescAlignment") - 1):
            raise Malformed(f"there is no MethodDesc at {method_desc:#x}: it is not aligned")
        index = memory.u8(method_desc + layout.offset("MethodDesc", "ChunkIndex"))
        chunk = method_desc - layout.size("MethodDescChunk") - index * layout.constant("MethodDescAlignment")
        owner = self.types.type(memory.pointer(chunk + layout.offset("MethodDescChunk", "MethodTable")))
        units = memory.u8(chunk + layout.offset("MethodDescChunk", "Size")) + 1
        if index >= units:
            raise Malformed(f"there is no MethodDesc at {method_desc:#x}: its chunk ends before it")
        kind = memory.u16(method_desc + layout.offset("MethodDesc", "Flags")) & _CLASSIFICATION
        if kind == _DYNAMIC:
            return self._dynamic(method_desc, owner)
        if kind == _ARRAY:
            return self._array(method_desc, owner, index)
        return self._managed(method_desc, owner, self._token(method_desc, chunk), kind)

    def _token(self, method_desc: int, chunk: int) -> int:
        layout = self._layout
        bits = layout.constant("MethodDescTokenRemainderBitCount")
        low = self._memory.u16(method_desc + layout.offset("MethodDesc", "Flags3AndTokenRemainder")) & ((1 << bits) - 1)
        high = self._memory.u16(chunk + layout.offset("MethodDescChunk", "FlagsAndTokenRange")) & ((1 << (_TOKEN_BITS - bits)) - 1)
        return high << bits | low

    def _managed(self, method_desc: int, owner: Type, rid: int, kind: int) -> Method:
        arguments = self._method_arguments(method_desc) if kind == _INSTANTIATED else ()
        names = tuple(argument.name for argument in arguments)
        module = owner.module
        name, parameters = f"<method {0x06000000 | rid:#010x}>", ""
        if module is not None and module.metadata is not None:
            definition = module.metadata.methoddef(rid)
            name = definition.name
            parameters = self._parameters(definition.signature, module, owner.generic_arguments, arguments)
        return Method(
            full_name=f"{owner.name}.{_generic(name, names)}{parameters}",
            name=name,
            declaring_type=owner.name,
            method_desc=method_desc,
            method_table=owner.method_table,
            module=owner.module_address,
            token=0x06000000 | rid,
            kind=_KINDS.get(kind, "managed"),
            generic_arguments=names,
        )

    def _method_arguments(self, method_desc: int) -> tuple[ResolvedType, ...]:
        """Arguments of a generic method; none for a method of a generic type that only has its own MethodDesc."""
        memory, layout = self._memory, self._layout
        count = memory.u16(method_desc + layout.offset("InstantiatedMethodDesc", "NumGenericArgs"))
        if count > LIMITS.generic_arguments:
            raise LimitExceeded(f"the MethodDesc at {method_desc:#x} claims {count} generic arguments")
        handles = memory.pointer(method_desc + layout.offset("InstantiatedMethodDesc", "PerInstInfo"))
        if not count or not handles:
            return ()
        return tuple(self.types.resolve_handle(handle) for handle in memory.words(handles, count))

    def _dynamic(self, method_desc: int, owner: Type) -> Method:
        """A DynamicMethod (LCG), or a stub that the runtime generated as IL; named in its own memory, as is its signature."""
        memory, layout = self._memory, self._layout
        flags = memory.u32(method_desc + layout.offset("StoredSigMethodDesc", "ExtendedFlags"))
        is_lcg = bool(flags & layout.constant("DynamicMethodDescFlags.LCGMethod"))
        name = memory.cstring(memory.pointer(method_desc + layout.offset("DynamicMethodDesc", "MethodName")), LIMITS.method_name_bytes)
        signature = self._stored_signature(method_desc)
        module = owner.module
        parameters = self._parameters(signature, module, (), ()) if signature and module else ""
        declaring = "DynamicClass" if is_lcg else "ILStubClass"
        return Method(
            full_name=f"{declaring}.{name}{parameters}",
            name=name,
            declaring_type=declaring,
            method_desc=method_desc,
            method_table=None,
            module=owner.module_address,
            token=0,
            kind="dynamic" if is_lcg else "il stub",
        )

    def _stored_signature(self, method_desc: int) -> bytes:
        """Signature of a method that was made at run time; empty where it has none."""
        memory, layout = self._memory, self._layout
        size = memory.u32(method_desc + layout.offset("StoredSigMethodDesc", "cSig"))
        if size > LIMITS.method_signature_bytes:
            raise LimitExceeded(f"the dynamic method at {method_desc:#x} claims {size} bytes of signature")
        signature = memory.pointer(method_desc + layout.offset("StoredSigMethodDesc", "Sig"))
        return memory.bytes(signature, size) if signature and size else b""

    def _array(self, method_desc: int, owner: Type, index: int) -> Method:
        """Get, Set, Address and constructors of an array type, in this order in its chunk."""
        size = self._layout.size("ArrayMethodDesc") // self._layout.constant("MethodDescAlignment")
        number = index // size
        name = _ARRAY_METHODS[number] if number < len(_ARRAY_METHODS) else ".ctor"
        full = f"{owner.name}.{name}"
        return Method(full, name, owner.name, method_desc, owner.method_table, owner.module_address, 0, "array")

    def _parameters(
        self, signature: bytes, module: Module | None, arguments: Sequence[ResolvedType], method_arguments: Sequence[ResolvedType]
    ) -> str:
        """`(System.Int32, Ns.Other)`; `(?)` where the signature cannot be resolved."""
        if module is None:
            return "(?)"
        for resolver in (self.types.signatures, SignatureNames(self.types)):
            try:
                decoded = method_signature(signature)
                names = [resolver.resolve(parameter, module, arguments, method_arguments).name for parameter in decoded.parameters]
            except Malformed:
                return "(?)"
            except Unreadable:
                continue  # a small dump has few of the types
            return "(" + ", ".join(names) + ")"
        return "(?)"


def _generic(name: str, arguments: Sequence[str]) -> str:
    return f"{name}<{', '.join(arguments)}>" if arguments else name
