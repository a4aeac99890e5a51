"""Statics since .NET 9: a DynamicStaticsInfo in front of the type's auxiliary data.

src/coreclr/vm/methodtable.h (MethodTableAuxiliaryData, DynamicStaticsInfo): {GCStatics, NonGCStatics, MethodTable} end where the auxiliary
data begins. The lowest bit of the first two says that the class is not initialised. Instantiations and collectible types are no special
case here: statics of collectible types lie in arrays that the runtime finds again by weak interior handles.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.static_bases import NO_STORAGE, StaticBases
from heaphound.runtime.types import Type


class DynamicStatics:
    """Reads DynamicStaticsInfo."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._size = layout.size("DynamicStaticsInfo")
        self._mask = layout.constant("StaticsPointerMask")

    def bases(self, owner: Type) -> StaticBases:
        """As StaticStorage. Raises Malformed when the structure does not name its own type."""
        layout, memory = self._layout, self._memory
        flags2 = memory.u32(owner.method_table + layout.offset("MethodTable", "MTFlags2"))
        if not flags2 & layout.constant("MethodTableFlags2.DynamicStatics"):
            return NO_STORAGE
        info = memory.pointer(owner.method_table + layout.offset("MethodTable", "AuxiliaryData")) - self._size
        named = memory.pointer(info + layout.offset("DynamicStaticsInfo", "MethodTable"))
        if named != owner.method_table:
            raise Malformed(f"self-check DynamicStaticsInfo.MethodTable: {info:#x} names {named:#x}, not {owner.method_table:#x}")
        gc = memory.pointer(info + layout.offset("DynamicStaticsInfo", "GCStatics"))
        non_gc = memory.pointer(info + layout.offset("DynamicStaticsInfo", "NonGCStatics"))
        initialized = not (gc | non_gc) & ~self._mask
        return StaticBases(gc & self._mask or None, non_gc & self._mask or None, initialized)
