"""MethodTable and EEClass, field by field: plain reads, each of one fact, of the runtime's type structures.

src/coreclr/vm/methodtable.h, methodtable.inl, class.h of 6.0 to 10.0. What differs between versions is asked of the layout: where the
module of an instantiation is (`MethodTableModule`), the type's token (`TypeDefToken`) and the field counts (`EEClassCounts`).
"""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.packed_fields import packed_field

_PACKED_INSTANCE_FIELDS = 0  # EEClassFieldId of class.h
_PACKED_STATIC_FIELDS = 2
_SLOTS_PER_CHUNK = 8  # MethodTable::VTABLE_SLOTS_PER_CHUNK
_NO_TOKEN = 0xFFFF  # u16 token that does not fit; the real one is in an optional member (methodtable.h, HasTokenOverflow)


class MethodTables:
    """Reads of MethodTables by address. Every method raises Unreadable for bytes that the dump lacks."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._flags = layout.offset("MethodTable", "MTFlags")
        self._flags2 = layout.offset("MethodTable", "MTFlags2")
        self._class = layout.offset("MethodTable", "EEClassOrCanonMT")
        self._tag = layout.constant("MethodTable.CanonicalTagMask")
        self._per_instance = layout.offset("MethodTable", "PerInstInfo")
        self._module = layout.offset("MethodTable", "Module")
        self._parent = layout.offset("MethodTable", "ParentMethodTable")
        self._has_components = layout.constant("MethodTableFlags.HasComponentSize")
        self._generics = layout.constant("MethodTableFlags.GenericsMask")
        self._direct_module = layout.contract("MethodTableModule") == "direct"
        self._token_in_flags = layout.contract("TypeDefToken") == "flags2"
        self._plain_counts = layout.contract("EEClassCounts") == "plain"

    def flags_and_base_size(self, address: int) -> tuple[int, int]:
        """MTFlags and BaseSize in bytes."""
        word = self._memory.u64(address + self._flags)
        return word & 0xFFFFFFFF, word >> 32

    def canonical(self, address: int) -> int:
        """The MethodTable that owns the EEClass: itself, or the one that shared instantiations have in common."""
        word = self._memory.pointer(address + self._class)
        return word & ~self._tag if word & self._tag else address

    def eeclass(self, address: int) -> int:
        """The EEClass. Raises Malformed when it does not lead back to the canonical MethodTable: then this is no MethodTable."""
        canonical = self.canonical(address)
        found = self._memory.pointer(canonical + self._class)
        if found & self._tag or self._memory.pointer(found + self._layout.offset("EEClass", "MethodTable")) != canonical:
            raise Malformed(f"there is no MethodTable at {address:#x}: its EEClass {found:#x} belongs to another")
        return found

    def parent(self, address: int) -> int:
        """MethodTable of the base type, 0 for none."""
        return self._memory.pointer(address + self._parent)

    def module(self, address: int, flags: int) -> int:
        """The Module that defines the type (of an array: where it was loaded)."""
        if self._direct_module:
            return self._memory.pointer(address + self._module)
        plain = not flags & self._has_components and not flags & self._generics
        if plain:
            return self._memory.pointer(address + self._module)
        owner = address if flags & self._has_components else self.canonical(address)
        return self._memory.pointer(self._module_override(owner) or owner + self._module)

    def loader_module(self, address: int) -> int:
        """The Module that holds the type's memory; a collectible instantiation lives as long as that module's load context."""
        if not self._direct_module:
            return self._memory.pointer(address + self._module)
        auxiliary = self._memory.pointer(address + self._layout.offset("MethodTable", "AuxiliaryData"))
        return self._memory.pointer(auxiliary + self._layout.offset("MethodTableAuxiliaryData", "LoaderModule"))

    def _module_override(self, address: int) -> int:
        """Address of the slot with the defining module where that is not the loader module, else 0.

        Multipurpose slots of methodtable.cpp: the first two lie in the MethodTable, further ones behind it and its vtable chunks; the
        slot's number is how many of the lower flags are set.
        """
        flags2 = self._memory.u32(address + self._flags2)
        has_override = self._layout.constant("MethodTableFlags2.HasModuleOverride")
        if not flags2 & has_override:
            return 0
        lower = flags2 & (has_override - 1)
        index = lower.bit_count()
        if lower & 3 == 2 and index == 1:
            index = 0
        if index < 2:
            return address + self._per_instance + 8 * index
        virtuals = self._memory.u16(address + self._layout.offset("MethodTable", "NumVirtuals"))
        chunks = (virtuals + _SLOTS_PER_CHUNK - 1) // _SLOTS_PER_CHUNK
        return address + self._layout.size("MethodTable") + 8 * (chunks + index - 2)

    def token_row(self, address: int) -> int | None:
        """Row id of the type's TypeDef, 0 for arrays; None where a 16-bit token overflowed (a module of more than 65,534 types)."""
        if self._token_in_flags:
            return self._memory.u32(address + self._flags2) >> 8
        row = self._memory.u16(address + self._layout.offset("MethodTable", "TypeDefToken"))
        return None if row == _NO_TOKEN else row

    def element(self, address: int) -> int:
        """TypeHandle of an array's elements (it shares its place with PerInstInfo)."""
        return self._memory.pointer(address + self._per_instance)

    def arguments(self, address: int) -> tuple[int, ...]:
        """TypeHandles of an instantiation's own arguments. Raises LimitExceeded or Malformed."""
        dictionaries = self._memory.pointer(address + self._per_instance)
        info = dictionaries - 8
        depth = self._memory.u16(info + self._layout.offset("GenericsDictInfo", "NumDicts"))
        count = self._memory.u16(info + self._layout.offset("GenericsDictInfo", "NumTypeArgs"))
        if not depth or not count:
            raise Malformed(f"generic MethodTable {address:#x} has {depth} dictionaries with {count} arguments")
        if count > LIMITS.generic_arguments:
            raise LimitExceeded(f"generic MethodTable {address:#x} claims {count} arguments, more than {LIMITS.generic_arguments}")
        return self._memory.words(self._memory.pointer(dictionaries + 8 * (depth - 1)), count)

    def field_descs(self, eeclass: int) -> int:
        """Address of the first FieldDesc of a class, 0 when it declares no field."""
        return self._memory.pointer(eeclass + self._layout.offset("EEClass", "FieldDescList"))

    def field_counts(self, eeclass: int) -> tuple[int, int]:
        """(instance fields with the inherited ones, own static fields with thread statics) of a class."""
        if self._plain_counts:
            instance = self._memory.u16(eeclass + self._layout.offset("EEClass", "NumInstanceFields"))
            return instance, self._memory.u16(eeclass + self._layout.offset("EEClass", "NumStaticFields"))
        start = eeclass + self._memory.u8(eeclass + self._layout.offset("EEClass", "FixedSizeBytes"))
        packed = bool(self._memory.u8(eeclass + self._layout.offset("EEClass", "FieldsArePacked")))
        return (
            packed_field(self._memory, start, _PACKED_INSTANCE_FIELDS, packed),
            packed_field(self._memory, start, _PACKED_STATIC_FIELDS, packed),
        )

    def element_type(self, eeclass: int) -> int:
        """CorElementType of the type; of an enum: of its underlying type."""
        return self._memory.u8(eeclass + self._layout.offset("EEClass", "InternalCorElementType"))
