"""The questions that are put to a DAC: methods of ISOSDacInterface and its successors, and what each answers, by name.

Slots and signatures: src/coreclr/inc/sospriv.idl; the records that they fill: src/coreclr/inc/dacprivate.h. Both have only grown since
3.0, so that one description serves all versions.
"""

import ctypes

from tools.dac.library import Library, invoke, release
from tools.dac.shapes import MOST_ENTRIES, RESULT, Answer, Call, listed, numbers, read_fields, record, size_bytes, text, visited

HANDLE_SEGMENT_BYTES = 0x10000  # src/coreclr/gc/handletablepriv.h: a segment begins at a multiple of its size


def handles(name: str, most: int) -> Call:
    """GetHandleEnum and ISOSHandleEnum::Next, the first `most` handles; `segment` is the one that the first of them lies in."""
    fields = "app_domain:8 handle:8 secondary:8 type:4 strong:4 references:4 jupiter:4 pegged:4"
    size = size_bytes(fields)

    def ask(library: Library, _arguments: tuple[int, ...]) -> Answer:
        pointer, got, out = ctypes.c_void_p(), ctypes.c_uint32(), ctypes.create_string_buffer(most * size)
        answer: Answer = {RESULT: library.call("", 61, ctypes.addressof(pointer))}
        if answer[RESULT] or pointer.value is None:
            return answer
        answer[RESULT] = invoke(pointer.value, 6, most, ctypes.addressof(out), ctypes.addressof(got))
        release(pointer.value)
        for index in range(min(got.value, most)):
            entry = read_fields(out.raw[index * size : (index + 1) * size], fields)
            answer |= {f"handles[{index}].{field}": value for field, value in entry.items()}
            answer.setdefault("segment", entry["handle"] & -HANDLE_SEGMENT_BYTES)
        return answer

    return Call(name, ask)


def loader_heaps(library: Library, arguments: tuple[int, ...]) -> Answer:
    """GetLoaderAllocatorHeaps, by the names that GetLoaderAllocatorHeapNames gives."""
    names, out, kinds = (ctypes.c_char_p * MOST_ENTRIES)(), (ctypes.c_uint64 * MOST_ENTRIES)(), (ctypes.c_uint32 * MOST_ENTRIES)()
    needed = ctypes.c_uint32()
    if library.call("13", 5, MOST_ENTRIES, ctypes.addressof(names), ctypes.addressof(needed)) & 0x80000000:
        return {RESULT: 0x80004001}
    count = min(needed.value, MOST_ENTRIES)
    result = library.call("13", 6, *arguments, count, ctypes.addressof(out), ctypes.addressof(kinds), ctypes.addressof(needed))
    return {RESULT: result, **{(names[index] or b"").decode(): out[index] for index in range(count)}}


THREAD_STORE = record(
    "GetThreadStoreData", 3, "threads:4 unstarted:4 background:4 pending:4 dead:4 first_thread:8 finalizer_thread:8 gc_thread:8"
)
APP_DOMAIN_STORE = record("GetAppDomainStoreData", 4, "shared:8 system:8 count:4")
APP_DOMAINS = listed("GetAppDomainList", 5, "domains")
APP_DOMAIN = record(
    "GetAppDomainData", 6, "address:8 security:8 low_frequency_heap:8 high_frequency_heap:8 stub_heap:8 local_block:8 local_modules:8 id:4"
)
ASSEMBLIES = listed("GetAssemblyList", 9, "assemblies")
ASSEMBLY = record("GetAssemblyData", 10, "address:8 class_loader:8 domain:8")
MODULE = record(
    "GetModuleData",
    13,
    "address:8 pe_assembly:8 il_base:8 metadata:8 metadata_bytes:8 assembly:8 reflection:4 is_pe:4 base_class:8 id:8 transient:4 "
    "typedefs:8 typerefs:8 methods:8 fields:8 members:8 files:8 manifest:8 loader_allocator:8 thunk_heap:8 index:8",
)
MODULE_TYPES = visited("TraverseModuleMap", 14, "types", 2)
ASSEMBLY_MODULES = listed("GetAssemblyModuleList", 15, "modules")
THREAD = record(
    "GetThreadData",
    17,
    "id:4 os_id:4 state:4 preemptive:4 alloc_pointer:8 alloc_limit:8 context:8 domain:8 frame:8 locks:4 nested:8 teb:8 fiber:8 "
    "last_thrown:8 next:8",
)
METHOD = record(
    "GetMethodDescData",
    20,
    "has_code:4 dynamic:4 slot:2 code:8 code_slot:8 address:8 method_table:8 module:8 token:4 gc_info:8 stress:8 dynamic_object:8",
    behind=3,
)
METHOD_NAME = text("GetMethodDescName", 22, "name")
METHOD_OF_FRAME = numbers("GetMethodDescPtrFromFrame", 23, "method")
METHOD_FROM_TOKEN = numbers("GetMethodDescFromToken", 24, "method")
CODE = record("GetCodeHeaderData", 26, "gc_info:8 kind:4 method:8 start:8 bytes:4 cold:8 cold_bytes:4 hot_bytes:4")
JIT_MANAGERS = listed("GetJitManagerList", 27, "managers", "address:8 kind:4 heaps:8")
OBJECT = record(
    "GetObjectData",
    33,
    "method_table:8 kind:4 bytes:8 element_type:8 element_kind:4 rank:4 components:8 component_bytes:8 data:8 bounds:8 lower_bounds:8",
)
OBJECT_TEXT = text("GetObjectStringData", 34, "text")
TYPE_NAME = text("GetMethodTableName", 36, "name")
METHOD_TABLE = record(
    "GetMethodTableData",
    37,
    "free:4 module:8 class:8 parent:8 interfaces:2 methods:2 slots:2 virtuals:2 base_bytes:4 component_bytes:4 token:4 attributes:4 "
    "shared:4 dynamic:4 contains_pointers:4",
)
METHOD_TABLE_SLOT = numbers("GetMethodTableSlot", 38, "code")
TYPE_FIELDS = record("GetMethodTableFieldData", 39, "instance:2 static:2 thread_static:2 first:8")
TYPE_OF_CLASS = numbers("GetMethodTableForEEClass", 41, "method_table")
FIELD = record(
    "GetFieldDescData",
    42,
    "kind:4 signature:4 type:8 type_module:8 type_token:4 token:4 declaring:8 offset:4 thread:4 context:4 static:4 next:8",
)
FRAME_NAME = text("GetFrameName", 43, "name")
PE_BASE = numbers("GetPEFileBase", 44, "base")
PE_NAME = text("GetPEFileName", 45, "name")
HEAPS = record("GetGCHeapData", 46, "server:4 valid:4 heaps:4 oldest:4")
_HEAP = (
    "heap:8 allocated:8 mark_array:8 state:8 next_sweep:8 sweep_segment:8 sweep_start:8 background_lowest:8 background_highest:8 "
    + " ".join(f"gen{index}_segment:8 gen{index}_start:8 gen{index}_pointer:8 gen{index}_limit:8" for index in range(4))
    + " ephemeral_segment:8 "
    + " ".join(f"fill{index}:8" for index in range(7))
    + " lowest:8 highest:8 card_table:8"
)
HEAP_LIST = listed("GetGCHeapList", 47, "heaps", exact=True)
SERVER_HEAP = record("GetGCHeapDetails", 48, _HEAP)
HEAP = record("GetGCHeapStaticData", 49, _HEAP)
SEGMENT = record(
    "GetHeapSegmentData", 50, "segment:8 allocated:8 committed:8 reserved:8 used:8 mem:8 next:8 heap:8 high:8 flags:8 background:8"
)
_LOCAL_MODULE = "owner:8 id:8 class_data:8 dynamic_classes:8 gc_statics:8 non_gc_statics:8"
STATICS_OF_MODULE = record("GetDomainLocalModuleDataFromModule", 57, _LOCAL_MODULE)
THREAD_STATICS_OF_MODULE = record("GetThreadLocalModuleData", 58, _LOCAL_MODULE)
SYNC_BLOCK = record(
    "GetSyncBlockData",
    59,
    "object:8 free:4 block:8 com:4 held:4 recursion:4 thread:8 waiting:4 domain:8 count:4",
)
HANDLES = handles("GetHandleEnum", 512)
FIRST_HANDLES = handles("GetHandleEnum (first)", 4)
NESTED_EXCEPTION = numbers("GetNestedExceptionData", 65, "object next")
LOADER_HEAP = visited("TraverseLoaderHeap", 67, "blocks", 1)
CODE_HEAPS = listed("GetCodeHeapList", 68, "heaps", "kind:4 base:8 current:8")
# VCSHeapType, src/coreclr/inc/sospriv.idl
STUB_HEAPS = {
    name: visited(f"TraverseVirtCallStubHeap({name})", 69, "blocks", 2, (kind,))
    for kind, name in enumerate(("IndirectionCellHeap", "LookupHeap", "ResolveHeap", "DispatchHeap", "CacheEntryHeap", "VtableHeap"))
}
GLOBALS = record("GetUsefulGlobals", 70, "array:8 string:8 object:8 exception:8 free:8")
COLLECTIBLE = record("GetMethodTableCollectibleData", 3, "handle:8 collectible:4", "6")
GENERATIONS = listed("GetGenerationTable", 4, "generations", "segment:8 start:8 pointer:8 limit:8", "8")
FILL_POINTERS = listed("GetFinalizationFillPointers", 5, "fill", "", "8")
LOAD_CONTEXT = numbers("GetAssemblyLoadContext", 8, "context", "8")
GLOBAL_ALLOCATION = numbers("GetGlobalAllocationContext", 3, "pointer limit", "12")
LOADER_HEAPS = Call("GetLoaderAllocatorHeaps", loader_heaps, "13")
STATICS = numbers("GetStaticBaseAddress", 3, "non_gc gc", "14")
THREAD_STATICS = numbers("GetThreadStaticBaseAddress", 4, "non_gc gc", "14")
