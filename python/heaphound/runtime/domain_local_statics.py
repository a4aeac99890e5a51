"""Statics up to .NET 8: a DomainLocalModule for each Module, with one block for its plain types and an entry for each dynamic class.

src/coreclr/vm/appdomain.hpp, appdomain.inl (DomainLocalModule, DynamicEntry), methodtable.inl of 6.0 and 8.0. "Dynamic" are generic
instantiations, types of collectible and Reflection.Emit modules: they have a dynamic class id, in the MethodTable's optional members or in
the EEClass's.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.collectible_statics import LoaderHandles
from heaphound.runtime.modules import Module
from heaphound.runtime.static_bases import NO_STORAGE, StaticBases
from heaphound.runtime.types import Type

NO_DYNAMIC_ID = 0xFFFFFFFF  # open and shared instantiations have no statics of their own
_MULTIPURPOSE_SLOTS_INSIDE = 2
_SLOTS_PER_CHUNK = 8  # MethodTable::VTABLE_SLOTS_PER_CHUNK
_INITIALIZED = 1  # ClassInitFlags of appdomain.hpp


class DomainLocalStatics:
    """Reads DomainLocalModules."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._handles = LoaderHandles(memory, layout)
        self._checked: dict[int, int] = {}

    def bases(self, owner: Type) -> StaticBases:
        """As StaticStorage."""
        module = loader_module(owner)
        local = self._local_module(module)
        if not local:
            return NO_STORAGE
        identity = dynamic_class_id(self._memory, self._layout, owner)
        if identity is None:
            return self._plain(local, owner)
        return self._dynamic(local, module, identity) if identity != NO_DYNAMIC_ID else NO_STORAGE

    def _local_module(self, module: Module) -> int:
        """The DomainLocalModule, 0 before there is one. Raises Malformed when it is another module's."""
        known = self._checked.get(module.address)
        if known is None:
            memory, layout = self._memory, self._layout
            known = memory.pointer(module.address + layout.offset("Module", "ModuleID"))
            if known:
                index = memory.pointer(module.address + layout.offset("Module", "ModuleIndex"))
                named = memory.pointer(known + layout.offset("DomainLocalModule", "ModuleIndex"))
                if named != index:
                    raise Malformed(f"self-check DomainLocalModule.ModuleIndex: {known:#x} has {named}, its module has {index}")
            self._checked[module.address] = known
        return known

    def _plain(self, local: int, owner: Type) -> StaticBases:
        """Offsets of plain types count from the block of the whole module; a byte for each class says what has been made.

        The block is there from the start. The flags stay clear for a class without static constructor that only precompiled code uses
        (MethodTable::IsClassPreInited): its fields may hold objects all the same.
        """
        memory, layout = self._memory, self._layout
        row = owner.row
        if not row:
            return NO_STORAGE
        flags = memory.u8(local + layout.offset("DomainLocalModule", "DataBlob") + row - 1)
        gc = memory.pointer(local + layout.offset("DomainLocalModule", "GCStatics")) or None
        if not flags & (layout.constant("DynamicClassFlags.Allocated") | _INITIALIZED):
            return StaticBases(gc, local, None, only_what_is_set=True)
        return StaticBases(gc, local, bool(flags & _INITIALIZED))

    def _dynamic(self, local: int, module: Module, identity: int) -> StaticBases:
        memory, layout = self._memory, self._layout
        table = memory.pointer(local + layout.offset("DomainLocalModule", "DynamicClassTable"))
        count = memory.u64(local + layout.offset("DomainLocalModule", "DynamicEntries"))
        if identity >= count or not table:
            return NO_STORAGE
        info = table + identity * layout.size("DynamicClassInfo")
        entry = memory.pointer(info + layout.offset("DynamicClassInfo", "DynamicEntry"))
        flags = memory.u32(info + layout.offset("DynamicClassInfo", "Flags"))
        if not entry:
            return NO_STORAGE
        initialized = bool(flags & _INITIALIZED)
        if flags & layout.constant("DynamicClassFlags.Collectible"):
            gc, non_gc = collectible_bases(memory, layout, self._handles, module, entry)
            return StaticBases(gc, non_gc, initialized)
        gc = memory.pointer(entry + layout.offset("NormalDynamicEntry", "GCStatics")) or None
        return StaticBases(gc, entry, initialized)


def loader_module(owner: Type) -> Module:
    """The module that holds a type's statics: of an instantiation the one that it was loaded into. Raises Malformed when it is unknown."""
    address = owner.system.method_tables.loader_module(owner.method_table)
    module = owner.system.module_at(address)
    if module is None:
        raise Malformed(f"the loader module {address:#x} of {owner.method_table:#x} is not in the list of loaded assemblies")
    return module


def collectible_bases(memory: Memory, layout: Layout, handles: LoaderHandles, module: Module, entry: int) -> tuple[int | None, int | None]:
    """(GC base, non-GC base) of a CollectibleDynamicEntry: the elements of an Object[], and those of a byte array as far before as the
    numbers of an ordinary entry lie behind its start (offsets are the same for both)."""
    data = layout.constant("PtrArrayOffsetToDataArray")
    found = []
    for name, before in (("GCStatics", 0), ("NonGCStatics", layout.offset("NormalDynamicEntry", "DataBlob"))):
        holder = handles.object(module, memory.pointer(entry + layout.offset("CollectibleDynamicEntry", name)))
        found.append(None if holder is None else holder + data - before)
    return found[0], found[1]


def dynamic_class_id(memory: Memory, layout: Layout, owner: Type) -> int | None:
    """Number of the type's entry in the dynamic class tables; None for a plain type, NO_DYNAMIC_ID where it has no statics."""
    if owner.component_size or not owner.flags & layout.constant("MethodTableFlags.StaticsMask"):
        return None
    if not owner.flags & layout.constant("MethodTableFlags.StaticsGenerics"):
        optional = memory.pointer(owner.eeclass + layout.offset("EEClass", "OptionalFields"))
        return memory.u32(optional + layout.offset("EEClassOptionalFields", "ModuleDynamicID"))
    info = owner.method_table + _optional_members(memory, layout, owner.method_table)
    return memory.u32(info + layout.offset("GenericsStaticsInfo", "DynamicTypeID"))


def _optional_members(memory: Memory, layout: Layout, method_table: int) -> int:
    """Offset of the first optional member: behind the MethodTable, its vtable chunks and the multipurpose slots that do not fit inside."""
    flags2 = memory.u32(method_table + layout.offset("MethodTable", "MTFlags2"))
    slots = (flags2 & layout.constant("MethodTableFlags2.MultipurposeSlotsMask")).bit_count()
    virtuals = memory.u16(method_table + layout.offset("MethodTable", "NumVirtuals"))
    chunks = -(-virtuals // _SLOTS_PER_CHUNK)
    return layout.size("MethodTable") + 8 * (chunks + max(0, slots - _MULTIPURPOSE_SLOTS_INSIDE))
