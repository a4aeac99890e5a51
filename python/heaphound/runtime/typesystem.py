"""Types of the dumped process: MethodTable → Type, made on demand and kept."""

from collections.abc import Iterable, Iterator

from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.element_types import REFERENCES, ElementType
from heaphound.runtime.generics import Instantiations, ResolvedType, SignatureResolver
from heaphound.runtime.loaded_types import LoadedTypes
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.modules import Module, read_modules
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.type_names import function_pointer_name
from heaphound.runtime.typedesc import array_method_table, read_typedesc
from heaphound.runtime.types import Type
from heaphound.runtime.well_known_types import WELL_KNOWN


class TypeSystem:
    """All types of one runtime. Cost: reads the dump when a type is first asked for; `loaded` once reads all modules' tables.

    `modules` is every module in load order; `core_library` the one of System.Object.
    """

    def __init__(self, runtime: Runtime, modules: Iterable[Module] | None = None) -> None:
        self.runtime = runtime
        self.memory = runtime.memory
        self.layout = runtime.layout
        self.modules: tuple[Module, ...] = tuple(read_modules(runtime) if modules is None else modules)
        self.method_tables = MethodTables(self.memory, self.layout)
        self.maps = LookupMaps(self.memory, self.layout)
        self._module_at = {module.address: module for module in self.modules}
        self._types: dict[int, Type] = {}
        self._globals: dict[str, int] = {}
        self._desc_bit = self.layout.constant("TypeHandle.TypeDescBit")
        self._primitives: dict[int, ResolvedType] = {}
        self._depth = 0
        self._loaded: tuple[int, ...] | None = None
        self._by_name: dict[str, list[Type]] | None = None
        self.instantiations = Instantiations(self)
        self.signatures = SignatureResolver(self)

    def module_at(self, address: int) -> Module | None:
        """The module whose structure is at `address`; None when no loaded assembly has it."""
        return self._module_at.get(address)

    @property
    def core_library(self) -> Module:
        """System.Private.CoreLib. Raises Malformed when it is not among the modules."""
        table = self.well_known("ObjectMethodTable")
        module = self.module_at(self.memory.pointer(table + self.layout.offset("MethodTable", "Module")))
        if module is None:
            raise Malformed(f"the module of System.Object ({table:#x}) is not in the list of loaded assemblies")
        return module

    def well_known(self, name: str) -> int:
        """MethodTable in one of the runtime's globals (`StringMethodTable`, ...); 0 where this version has no such global."""
        known = self._globals.get(name)
        if known is None:
            known = self.runtime.global_value(name) if self.layout.has_global(name) else 0
            self._globals[name] = known
        return known

    def well_known_name(self, method_table: int) -> str | None:
        """Name of a type that a global of the runtime points to; None for others."""
        return next((name for known, name in WELL_KNOWN.items() if self.well_known(known) == method_table), None)

    def type(self, method_table: int) -> Type:
        """The type of a MethodTable. Raises Unreadable when the dump lacks it, Malformed when there is none at that address."""
        known = self._types.get(method_table)
        if known is None:
            known = Type(self, method_table)
            self._types[method_table] = known
        return known

    def resolve_handle(self, handle: int) -> ResolvedType:
        """What a TypeHandle names. Raises LimitExceeded when handles nest deeper than any real type, Unreadable, Malformed."""
        if self._depth > LIMITS.type_nesting:
            raise LimitExceeded(f"the type handle {handle:#x} lies more than {LIMITS.type_nesting} deep inside another type")
        self._depth += 1
        try:
            handle = self.untagged_array(handle)
            return self._resolve_desc(handle & ~self._desc_bit) if handle & self._desc_bit else self.type(handle).resolved
        finally:
            self._depth -= 1

    def untagged_array(self, handle: int) -> int:
        """The MethodTable for a handle that leads to an array's TypeDesc (to 3.1), any other handle as it is. Raises Unreadable."""
        if not handle & self._desc_bit:
            return handle
        return array_method_table(self.memory, self.layout, handle & ~self._desc_bit) or handle

    def _resolve_desc(self, address: int) -> ResolvedType:
        desc = read_typedesc(self.memory, self.layout, address)
        inner = [self.resolve_handle(part) for part in desc.handles]
        match desc.element_type:
            case ElementType.POINTER:
                return ResolvedType(inner[0].name + "*", ElementType.POINTER, None, element=inner[0], handle=address)
            case ElementType.BY_REFERENCE:
                return ResolvedType(inner[0].name + "&", ElementType.BY_REFERENCE, None, element=inner[0], handle=address)
            case ElementType.FUNCTION_POINTER:
                name = function_pointer_name(inner[0].name, [part.name for part in inner[1:]])
                return ResolvedType(name, ElementType.FUNCTION_POINTER, None, handle=address)
        return ResolvedType(self._parameter_name(desc.module, desc.token), desc.element_type, None, handle=address)

    def _parameter_name(self, module_address: int, token: int) -> str:
        module = self.module_at(module_address)
        if module is None or module.metadata is None:
            return f"<type parameter {token:#010x}>"
        return module.metadata.generic_param(token & 0xFFFFFF).name

    def primitive(self, element_type: int, name: str) -> ResolvedType:
        """A built-in type (`System.Int32`) with its MethodTable where that is loaded."""
        known = self._primitives.get(element_type)
        if known is None:
            found = self.core_type(name)
            known = ResolvedType(name, element_type, found, layout=found)
            self._primitives[element_type] = known
        return known

    def core_type(self, name: str) -> Type | None:
        """A top-level type of the core library by full metadata name; None when it does not exist or was never loaded."""
        library = self.core_library
        namespace, _, plain = name.rpartition(".")
        row = library.metadata.find_typedef(namespace, plain) if library.metadata is not None else None
        return None if row is None else self.defined_type(library, row)

    def defined_type(self, module: Module, row: int) -> Type | None:
        """The type of a TypeDef row (the generic definition for a generic type); None while it is not loaded."""
        table = self.maps.get(module.address + self.layout.offset("Module", "TypeDefToMethodTableMap"), row)
        return self.type(table) if table else None

    def referenced_type(self, module: Module, row: int) -> Type | None:
        """The type that the runtime resolved a TypeRef row of a module to; None when it has not yet, or the layout has no such map."""
        if not self.layout.has("Module", "TypeRefToMethodTableMap"):
            return None
        handle = self.maps.get(module.address + self.layout.offset("Module", "TypeRefToMethodTableMap"), row)
        return self.type(handle) if handle and not handle & self._desc_bit else None

    def loaded(self) -> tuple[int, ...]:
        """MethodTables of all loaded types, ascending: definitions, instantiations, arrays, and those that `register` was told of.

        Modules whose tables cannot be read contribute nothing; `loaded_gaps` says which.
        """
        if self._loaded is None:
            loaded = LoadedTypes(self.memory, self.layout, self.maps)
            found = loaded.of_modules(self.modules)
            self.loaded_gaps = loaded.gaps
            self._loaded = tuple(sorted(found | set(self._types)))
        return self._loaded

    def register(self, method_tables: Iterable[int]) -> None:
        """Tell of MethodTables found elsewhere (on the heap), so that `loaded`, `find` and the resolution of signatures know them."""
        new = set(method_tables) - set(self.loaded())
        self._loaded = tuple(sorted(set(self.loaded()) | new))
        self._by_name = None
        self.instantiations.add(new)

    def types(self) -> Iterator[Type]:
        """All loaded types; those that cannot be read are left out."""
        for address in self.loaded():
            try:
                yield self.type(address)
            except (Unreadable, Malformed, LayoutError):
                continue

    def find(self, name: str) -> list[Type]:
        """All loaded types of that C#-like name (several, when load contexts have the same assembly)."""
        if self._by_name is None:
            self._by_name = {}
            for found in self.types():
                self._by_name.setdefault(found.name, []).append(found)
        return list(self._by_name.get(name, ()))

    def loader_allocator_object(self, method_table: int) -> int | None:
        """The managed LoaderAllocator that an object of a collectible type keeps alive; None for other types, or when it has none (yet).

        MethodTable::GetLoaderAllocatorObjectForGC: the handle in the loader module's LoaderAllocator. Raises Malformed when that leads to
        another kind of object, Unreadable.
        """
        if not self.type(method_table).is_collectible:
            return None
        module = self.module_at(self.method_tables.loader_module(method_table))
        if module is None or not module.loader_allocator:
            return None
        handle = self.memory.pointer(module.loader_allocator + self.layout.offset("LoaderAllocator", "ObjectHandle"))
        found = self.memory.pointer(handle) if handle else 0
        if not found:
            return None
        kind = self.type(self.memory.pointer(found) & ~self.layout.constant("ObjectToMethodTableUnmask"))
        if kind.name_problem is None and kind.name != "System.Reflection.LoaderAllocator":
            raise Malformed(f"self-check LoaderAllocator.ObjectHandle: it leads to a {kind.name} at {found:#x}")
        return found


__all__ = ["REFERENCES", "ElementType", "ResolvedType", "Type", "TypeSystem"]
