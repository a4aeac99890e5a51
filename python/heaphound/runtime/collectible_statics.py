"""Handles of collectible loader allocators up to .NET 8: statics of collectible types are objects that such a handle leads to.

src/coreclr/vm/loaderallocator.inl (GetHandleValueFast): with the low bit set it is the address of a slot, plus one; else an index,
doubled and counted from one, into the `m_slots` array of the managed System.Reflection.LoaderAllocator.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.modules import Module

_SLOTS_FIELD = "m_slots"


class LoaderHandles:
    """Resolves handles of one runtime's loader allocators."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._array_data = layout.constant("PtrArrayOffsetToDataArray")

    def object(self, module: Module, handle: int) -> int | None:
        """The object behind a handle of the module's loader allocator; None when handle or allocator is null.

        Raises Unreadable, Malformed.
        """
        memory, layout = self._memory, self._layout
        if not handle:
            return None
        if handle & 1:
            return memory.pointer(handle - 1) or None
        if not module.loader_allocator:
            raise Malformed(f"the loader allocator of module {module.address:#x} is not known, so its handle {handle:#x} leads nowhere")
        root = memory.pointer(module.loader_allocator + layout.offset("LoaderAllocator", "ObjectHandle"))
        allocator = memory.pointer(root) if root else 0
        if not allocator:
            return None
        slots = memory.pointer(allocator + layout.offset("LoaderAllocatorObject", _SLOTS_FIELD))
        index, count = (handle >> 1) - 1, memory.u32(slots + layout.offset("Array", "m_NumComponents"))
        if index >= count:
            raise Malformed(f"the handle {handle:#x} of loader allocator {module.loader_allocator:#x} is past its {count} slots")
        return memory.pointer(slots + self._array_data + 8 * index) or None
