"""Thread statics: where a type's block lies on one thread.

Up to .NET 8 (src/coreclr/vm/threadstatics.h of 6.0): Thread.ThreadLocalBlock holds a table of ThreadLocalModules by module index, built
like DomainLocalModules. Since .NET 9 (vm/threadstatics.cpp): a ThreadStaticsInfo in front of the type's DynamicStaticsInfo has two indices
into the thread's ThreadLocalData; offsets of fields then count from the start of an object.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.collectible_statics import LoaderHandles
from heaphound.runtime.domain_local_statics import NO_DYNAMIC_ID, collectible_bases, dynamic_class_id, loader_module
from heaphound.runtime.modules import Module
from heaphound.runtime.static_bases import NO_STORAGE, StaticBases
from heaphound.runtime.types import Type

_NOT_ALLOCATED = 0xFFFFFFFF
_OFFSET_MASK = 0xFFFFFF
_NON_COLLECTIBLE, _COLLECTIBLE, _DIRECT = 0, 1, 2  # TLSIndexType, in the highest byte of an index


class ThreadLocalModules:
    """Thread statics up to .NET 8."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._handles = LoaderHandles(memory, layout)
        self._array_data = layout.constant("PtrArrayOffsetToDataArray")

    def bases(self, thread: int, owner: Type) -> StaticBases:
        """As ThreadStaticStorage."""
        module = loader_module(owner)
        local = self._local_module(thread, module)
        if not local:
            return NO_STORAGE
        identity = dynamic_class_id(self._memory, self._layout, owner)
        if identity is None:
            gc = self._through_handle(self._memory.pointer(local + self._layout.offset("ThreadLocalModule", "GCStatics")))
            return StaticBases(gc, local)
        return self._dynamic(local, module, identity) if identity != NO_DYNAMIC_ID else NO_STORAGE

    def _local_module(self, thread: int, module: Module) -> int:
        """The thread's ThreadLocalModule of a module, 0 when it never used one."""
        memory, layout = self._memory, self._layout
        block = thread + layout.offset("Thread", "ThreadLocalBlock")
        table = memory.pointer(block + layout.offset("ThreadLocalBlock", "TLMTable"))
        count = memory.u64(block + layout.offset("ThreadLocalBlock", "TLMTableSize"))
        index = memory.u64(module.address + layout.offset("Module", "ModuleIndex"))
        return memory.pointer(table + 8 * index) if table and index < count else 0

    def _through_handle(self, handle: int) -> int | None:
        """First element of the Object[] that a handle leads to; None for a null handle or object."""
        holder = self._memory.pointer(handle) if handle else 0
        return holder + self._array_data if holder else None

    def _dynamic(self, local: int, module: Module, identity: int) -> StaticBases:
        memory, layout = self._memory, self._layout
        table = memory.pointer(local + layout.offset("ThreadLocalModule", "DynamicClassTable"))
        count = memory.u64(local + layout.offset("ThreadLocalModule", "DynamicEntries"))
        if identity >= count or not table:
            return NO_STORAGE
        info = table + identity * layout.size("DynamicClassInfo")
        entry = memory.pointer(info + layout.offset("DynamicClassInfo", "DynamicEntry"))
        flags = memory.u32(info + layout.offset("DynamicClassInfo", "Flags"))
        if not entry:
            return NO_STORAGE
        if flags & layout.constant("DynamicClassFlags.Collectible"):
            return StaticBases(*collectible_bases(memory, layout, self._handles, module, entry))
        gc = self._through_handle(memory.pointer(entry + layout.offset("NormalDynamicEntry", "GCStatics")))
        return StaticBases(gc, entry)


class ThreadLocalObjects:
    """Thread statics since .NET 9."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._array_data = layout.constant("PtrArrayOffsetToDataArray")
        self._unused = layout.constant("NumberOfTlsOffsetsNotUsedInNoncollectibleArray")

    def bases(self, thread: int, owner: Type) -> StaticBases:
        """As ThreadStaticStorage."""
        memory, layout = self._memory, self._layout
        data = memory.pointer(thread + layout.offset("Thread", "ThreadLocalDataPtr"))
        if not data:
            return NO_STORAGE
        auxiliary = memory.pointer(owner.method_table + layout.offset("MethodTable", "AuxiliaryData"))
        info = auxiliary - layout.size("ThreadStaticsInfo")
        found = []
        for name in ("GCTlsIndex", "NonGCTlsIndex"):
            index = memory.u32(info + layout.offset("ThreadStaticsInfo", name))
            found.append(None if index == _NOT_ALLOCATED else self._block(data, index))
        return StaticBases(found[0], found[1])

    def _block(self, data: int, index: int) -> int | None:
        """What field offsets count from, for a TLS index; None where the thread has not made it.

        A direct block is in every thread's ThreadLocalData, so that threads that never used it have zeros there. Whether a type without
        references gets one is a matter of time: while room is left, once its class constructor has run (GetTLSIndexForThreadStatic).
        """
        kind, offset = index >> 24, index & _OFFSET_MASK
        if kind == _DIRECT:
            return data + offset
        if kind == _NON_COLLECTIBLE:
            found = self._non_collectible(data, offset - self._unused)
        elif kind == _COLLECTIBLE:
            found = self._collectible(data, offset)
        else:
            raise Malformed(f"the thread static index {index:#010x} is of no known kind")
        return found or self._in_flight(data, index)

    def _non_collectible(self, data: int, index: int) -> int:
        memory, layout = self._memory, self._layout
        array = memory.pointer(data + layout.offset("ThreadLocalData", "NonCollectibleTlsArrayData"))
        if not array or not 0 <= index < memory.u32(array + layout.offset("Array", "m_NumComponents")):
            return 0
        return memory.pointer(array + self._array_data + 8 * index)

    def _collectible(self, data: int, index: int) -> int:
        memory, layout = self._memory, self._layout
        count = memory.u32(data + layout.offset("ThreadLocalData", "CollectibleTlsDataCount"))
        table = memory.pointer(data + layout.offset("ThreadLocalData", "CollectibleTlsArrayData"))
        handle = memory.pointer(table + 8 * index) if table and index < count else 0
        return memory.pointer(handle) if handle else 0

    def _in_flight(self, data: int, wanted: int) -> int | None:
        """The list of blocks that the thread is just setting up. Raises Malformed when it loops."""
        memory, layout = self._memory, self._layout
        if not layout.has("ThreadLocalData", "InFlightData"):
            return None
        node = memory.pointer(data + layout.offset("ThreadLocalData", "InFlightData"))
        seen: set[int] = set()
        while node:
            if node in seen:
                raise Malformed(f"the thread's list of unfinished thread statics loops at {node:#x}")
            seen.add(node)
            if memory.u32(node + layout.offset("InFlightTLSData", "TlsIndex")) == wanted:
                handle = memory.pointer(node + layout.offset("InFlightTLSData", "TLSData"))
                return memory.pointer(handle) or None if handle else None
            node = memory.pointer(node + layout.offset("InFlightTLSData", "Next"))
        return None
