"""Which numbers of a layout file lie on the way to which output of a DAC's answer.

A way is `output = path`. The path begins at the first argument of the call, at `global NAME` (a variable of the runtime), at an address
that the question names (`header:`), or at `any:` structure that the DAC reads; `->` follows the pointer found so far. Several lines of one
output are the ways of different versions: a line counts where the layout has all its numbers, and one that fits is enough.

In front of an output: nothing where the answer is the word at the end of the path, `&` where it is the end's address, `>` where the word
holds an address a little behind the answer, `~` where it only has a say in it (a flag, a count, the length of a list). Facts:
src/coreclr/debug/daccess/request.cpp of each version, observed.
"""

from tools.dac import calls
from tools.dac.path import Way, read_ways
from tools.dac.shapes import Call

_THREAD_STORE = """
threads = global ThreadStore -> ThreadStore.ThreadCount
unstarted = global ThreadStore -> ThreadStore.UnstartedCount
background = global ThreadStore -> ThreadStore.BackgroundCount
dead = global ThreadStore -> ThreadStore.DeadCount
>first_thread = global ThreadStore -> ThreadStore.FirstThreadLink
finalizer_thread = global FinalizerThread
"""
_THREAD = """
id = Thread.Id
os_id = Thread.OSId
state = Thread.State
preemptive = Thread.PreemptiveGCDisabled
alloc_pointer = Thread.AllocContext + GCAllocContext.Pointer
alloc_pointer = Thread.RuntimeThreadLocals -> RuntimeThreadLocals.AllocContext + GCAllocContext.Pointer
alloc_pointer = Thread.RuntimeThreadLocals -> RuntimeThreadLocals.AllocContext + EEAllocContext.GCAllocationContext + GCAllocContext.Pointer
alloc_limit = Thread.AllocContext + GCAllocContext.Limit
alloc_limit = Thread.RuntimeThreadLocals -> RuntimeThreadLocals.AllocContext + GCAllocContext.Limit
alloc_limit = Thread.RuntimeThreadLocals -> RuntimeThreadLocals.AllocContext + EEAllocContext.GCAllocationContext + GCAllocContext.Limit
frame = Thread.Frame
last_thrown = Thread.LastThrownObject
>next = Thread.LinkNext
nested = Thread.ExceptionTracker -> ExceptionInfo.PreviousNestedInfo
"""
_APP_DOMAIN = """
low_frequency_heap = any: LoaderAllocator.LowFrequencyHeap
high_frequency_heap = any: LoaderAllocator.HighFrequencyHeap
stub_heap = any: LoaderAllocator.StubHeap
"""
_ASSEMBLIES = """
assemblies[0] = AppDomain.DomainAssemblyList + ArrayListBase.FirstBlock + ArrayListBlock.ArrayStart -> DomainAssembly.Assembly
~assemblies.count = AppDomain.DomainAssemblyList + ArrayListBase.Count
"""
_MODULE = """
pe_assembly = Module.PEAssembly
il_base = Module.PEAssembly -> PEAssembly.PEImage -> PEImage.LoadedImageLayout -> PEImageLayout.Base
assembly = Module.Assembly
id = Module.ModuleID
index = Module.ModuleIndex
typedefs = Module.TypeDefToMethodTableMap + ModuleLookupMap.TableData
typerefs = Module.TypeRefToMethodTableMap + ModuleLookupMap.TableData
methods = Module.MethodDefToDescMap + ModuleLookupMap.TableData
loader_allocator = Module.LoaderAllocator
thunk_heap = Module.ThunkHeap
"""
_PE_BASE = """
base = PEAssembly.PEImage -> PEImage.LoadedImageLayout -> PEImageLayout.Base
base = Module.PEAssembly -> PEAssembly.PEImage -> PEImage.LoadedImageLayout -> PEImageLayout.Base
"""
_PE_NAME = """
~name = PEAssembly.PEImage -> PEImage.Path + SString.Buffer
~name = Module.PEAssembly -> PEAssembly.PEImage -> PEImage.Path + SString.Buffer
~name.length = PEAssembly.PEImage -> PEImage.Path + SString.Size
~name.length = Module.PEAssembly -> PEAssembly.PEImage -> PEImage.Path + SString.Size
"""
_METHOD_TABLE = """
module = MethodTable.Module
class = MethodTable.EEClassOrCanonMT
class = MethodTable.EEClassOrCanonMT -> EEClass.MethodTable
parent = MethodTable.ParentMethodTable
base_bytes = MethodTable.BaseSize
component_bytes = MethodTable.MTFlags
~contains_pointers = MethodTable.MTFlags
token = MethodTable.TypeDefToken
token = MethodTable.MTFlags2 + 1
virtuals = MethodTable.NumVirtuals
"""
_TYPE_OF_CLASS = """
method_table = EEClass.MethodTable
method_table = MethodTable.EEClassOrCanonMT -> EEClass.MethodTable
"""
_TYPE_FIELDS = """
first = MethodTable.EEClassOrCanonMT -> EEClass.FieldDescList
instance = MethodTable.EEClassOrCanonMT -> EEClass.NumInstanceFields
static = MethodTable.EEClassOrCanonMT -> EEClass.NumStaticFields
~instance = MethodTable.EEClassOrCanonMT -> EEClass.FieldsArePacked
"""
_FIELD = """
declaring = FieldDesc.MethodTableOfEnclosingClass
token = FieldDesc.DWord1
offset = FieldDesc.DWord2
&next = FieldDesc.!
"""
_COLLECTIBLE = """
handle = MethodTable.Module -> Module.LoaderAllocator -> LoaderAllocator.ObjectHandle
handle = MethodTable.Module -> Module.Assembly -> Assembly.LoaderAllocator -> LoaderAllocator.ObjectHandle
handle = MethodTable.AuxiliaryData -> MethodTableAuxiliaryData.LoaderModule -> Module.LoaderAllocator -> LoaderAllocator.ObjectHandle
"""
_LOAD_CONTEXT = """
context = MethodTable.Module -> Module.PEAssembly -> PEAssembly.AssemblyBinder -> AssemblyBinder.AssemblyLoadContext -> 0
context = MethodTable.Module -> Module.PEAssembly -> PEAssembly.HostAssembly -> BinderAssembly.Binder ->
    AssemblyBinder.AssemblyLoadContext -> 0
"""
_OBJECT = """
components = Array.m_NumComponents
component_bytes = type: MethodTable.MTFlags
"""
_OBJECT_TEXT = """
~text.length = String.m_StringLength
~text = String.m_FirstChar
"""
_GLOBALS = """
array = global ObjectArrayMethodTable
string = global StringMethodTable
object = global ObjectMethodTable
exception = global ExceptionMethodTable
free = global FreeObjectMethodTable
"""
_HEAPS = """
~valid = global GcDacVars -> GcDacVars.StructuresInvalidCount -> 0
oldest = global GcDacVars -> GcDacVars.MaxGeneration -> 0
heaps = global GcDacVars -> GcDacVars.HeapCount -> 0
"""
_HEAP = """
allocated = global GcDacVars -> GcDacVars.AllocAllocated -> 0
state = global GcDacVars -> GcDacVars.CurrentGCState -> 0
ephemeral_segment = global GcDacVars -> GcDacVars.EphemeralHeapSegment -> 0
fill0 = global GcDacVars -> GcDacVars.FinalizeQueue -> 0 -> CFinalize.FillPointers
gen0_segment = global GcDacVars -> GcDacVars.GenerationTable -> Generation.StartSegment
gen0_start = global GcDacVars -> GcDacVars.GenerationTable -> Generation.AllocationStart
gen0_pointer = global GcDacVars -> GcDacVars.GenerationTable -> Generation.AllocContextPointer
gen0_limit = global GcDacVars -> GcDacVars.GenerationTable -> Generation.AllocContextLimit
~gen1_segment = global GcDacVars -> GcDacVars.GenerationSize
"""
_HEAP_LIST = """
heaps.count = global GcDacVars -> GcDacVars.HeapCount -> 0
heaps[0] = global GcDacVars -> GcDacVars.Heaps -> 0 -> 0
"""
_SERVER_HEAP = """
allocated = ServerHeap.AllocAllocated
ephemeral_segment = ServerHeap.EphemeralHeapSegment
fill0 = ServerHeap.FinalizeQueue -> CFinalize.FillPointers
gen0_segment = ServerHeap.GenerationTable + Generation.StartSegment
~allocated = global GcDacVars -> GcDacVars.HeapFieldOffsets
"""
_GENERATIONS = """
generations.count = global GcDacVars -> GcDacVars.TotalGenerationCount
~generations[0].segment = global GcDacVars -> GcDacVars.GenerationFieldOffsets
"""
_SEGMENT = """
allocated = HeapSegment.Allocated
committed = HeapSegment.Committed
reserved = HeapSegment.Reserved
mem = HeapSegment.Mem
flags = HeapSegment.Flags
next = HeapSegment.Next
"""
_SYNC_BLOCK = """
object = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.Object
block = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock
count = global SyncBlockCache -> SyncBlockCache.FreeSyncTableIndex
~held = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock -> SyncBlock.Monitor + AwareLock.LockState
recursion = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock -> SyncBlock.Monitor + AwareLock.Recursion
thread = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock -> SyncBlock.Monitor + AwareLock.HoldingThread
~thread = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock -> SyncBlock.Monitor + AwareLock.HoldingThreadId
~waiting = global SyncTableEntries -> {index} * SyncTableEntry.! + SyncTableEntry.SyncBlock -> SyncBlock.Link
"""
_HANDLES = """
segment = global GcDacVars -> GcDacVars.HandleTableMap -> HandleTableMap.Buckets -> 0 -> HandleTableBucket.Table -> 0 ->
    HandleTable.SegmentList
~handles[0].handle = segment: TableSegment.BlockType + {block}
"""
_LOADER_HEAPS = """
LowFrequencyHeap = LoaderAllocator.LowFrequencyHeap
HighFrequencyHeap = LoaderAllocator.HighFrequencyHeap
StaticsHeap = LoaderAllocator.StaticsHeap
StubHeap = LoaderAllocator.StubHeap
ExecutableHeap = LoaderAllocator.ExecutableHeap
FixupPrecodeHeap = LoaderAllocator.FixupPrecodeHeap
NewStubPrecodeHeap = LoaderAllocator.NewStubPrecodeHeap
IndcellHeap = LoaderAllocator.VirtualCallStubManager -> VirtualCallStubManager.IndirectionCellHeap
CacheEntryHeap = LoaderAllocator.VirtualCallStubManager -> VirtualCallStubManager.CacheEntryHeap
"""
_LOADER_HEAP = """
blocks[0].0 = LoaderHeap.FirstBlock -> LoaderHeapBlock.VirtualAddress
blocks[0].1 = LoaderHeap.FirstBlock -> LoaderHeapBlock.VirtualSize
blocks[1].0 = LoaderHeap.FirstBlock -> LoaderHeapBlock.Next -> LoaderHeapBlock.VirtualAddress
"""
_STUB_HEAP = """
blocks[0].0 = any: LoaderAllocator.VirtualCallStubManager -> VirtualCallStubManager.{0} -> LoaderHeap.FirstBlock ->
    LoaderHeapBlock.VirtualAddress
"""
_METHOD = """
~slot = MethodDesc.Slot
~slot = MethodDesc.Flags
~token = MethodDesc.Flags3AndTokenRemainder
~method_table = MethodDesc.ChunkIndex
method_table = any: MethodDescChunk.MethodTable
~token = any: MethodDescChunk.FlagsAndTokenRange
"""
_CODE = """
method = header: 0 -> RealCodeHeader.MethodDesc
gc_info = header: 0 -> RealCodeHeader.GCInfo
~start = any: RangeSection.HeapList -> CodeHeapListNode.MapBase
~start = any: RangeSection.HeapListOrZapModule -> CodeHeapListNode.MapBase
~start = any: RangeSection.HeapList -> CodeHeapListNode.HeaderMap
~start = any: RangeSection.HeapListOrZapModule -> CodeHeapListNode.HeaderMap
~start = any: RangeSectionFragment.RangeSection -> RangeSection.HeapList
~start = any: RangeSection.RangeBegin
~start = any: RangeSection.RangeEndOpen
~start = any: RangeSection.R2RModule -> Module.ReadyToRunInfo -> ReadyToRunInfo.RuntimeFunctions
~start = any: RangeSection.HeapListOrZapModule -> Module.ReadyToRunInfo -> ReadyToRunInfo.RuntimeFunctions
~start = any: RangeSection.R2RModule -> Module.ReadyToRunInfo -> ReadyToRunInfo.NumRuntimeFunctions
~start = any: RangeSection.HeapListOrZapModule -> Module.ReadyToRunInfo -> ReadyToRunInfo.NumRuntimeFunctions
~method = any: ReadyToRunInfo.EntryPointToMethodDescMap + HashMap.Buckets
"""
_LOCAL_MODULE = """
gc_statics = Module.ModuleID -> DomainLocalModule.GCStatics
dynamic_classes = Module.ModuleID -> DomainLocalModule.DynamicClassTable
&class_data = Module.ModuleID -> DomainLocalModule.DataBlob
"""
_THREAD_LOCAL_MODULE = """
~gc_statics = Thread.ThreadLocalBlock + ThreadLocalBlock.TLMTable -> {slot} -> ThreadLocalModule.GCStatics
dynamic_classes = Thread.ThreadLocalBlock + ThreadLocalBlock.TLMTable -> {slot} -> ThreadLocalModule.DynamicClassTable
~gc_statics = Thread.ThreadLocalBlock + ThreadLocalBlock.TLMTableSize
"""
_STATICS = """
gc = any: DynamicStaticsInfo.GCStatics
non_gc = any: DynamicStaticsInfo.NonGCStatics
"""
_GLOBAL_ALLOCATION = """
pointer = global GlobalAllocContext + GCAllocContext.Pointer
pointer = global GlobalAllocContext + EEAllocContext.GCAllocationContext + GCAllocContext.Pointer
"""
_NESTED_EXCEPTION = """
object = ExceptionInfo.ThrownObject
next = ExceptionInfo.PreviousNestedInfo
"""

WAYS: dict[Call, tuple[Way, ...]] = {
    calls.THREAD_STORE: read_ways(_THREAD_STORE),
    calls.THREAD: read_ways(_THREAD),
    calls.NESTED_EXCEPTION: read_ways(_NESTED_EXCEPTION),
    calls.APP_DOMAINS: read_ways("domains[0] = global AppDomain"),
    calls.APP_DOMAIN: read_ways(_APP_DOMAIN),
    calls.ASSEMBLIES: read_ways(_ASSEMBLIES),
    calls.ASSEMBLY_MODULES: read_ways("modules[0] = Assembly.Module"),
    calls.MODULE: read_ways(_MODULE),
    calls.PE_BASE: read_ways(_PE_BASE),
    calls.PE_NAME: read_ways(_PE_NAME),
    calls.METHOD_TABLE: read_ways(_METHOD_TABLE),
    calls.TYPE_NAME: read_ways("~name = MethodTable.PerInstInfo"),
    calls.TYPE_OF_CLASS: read_ways(_TYPE_OF_CLASS),
    calls.TYPE_FIELDS: read_ways(_TYPE_FIELDS),
    calls.FIELD: read_ways(_FIELD),
    calls.COLLECTIBLE: read_ways(_COLLECTIBLE),
    calls.LOAD_CONTEXT: read_ways(_LOAD_CONTEXT),
    calls.OBJECT: read_ways(_OBJECT),
    calls.OBJECT_TEXT: read_ways(_OBJECT_TEXT),
    calls.GLOBALS: read_ways(_GLOBALS),
    calls.HEAPS: read_ways(_HEAPS),
    calls.HEAP: read_ways(_HEAP),
    calls.HEAP_LIST: read_ways(_HEAP_LIST),
    calls.SERVER_HEAP: read_ways(_SERVER_HEAP),
    calls.GENERATIONS: read_ways(_GENERATIONS),
    calls.SEGMENT: read_ways(_SEGMENT),
    calls.SYNC_BLOCK: read_ways(_SYNC_BLOCK),
    calls.FIRST_HANDLES: read_ways(_HANDLES),
    calls.LOADER_HEAPS: read_ways(_LOADER_HEAPS),
    calls.LOADER_HEAP: read_ways(_LOADER_HEAP),
    **{call: read_ways(_STUB_HEAP.format(name)) for name, call in calls.STUB_HEAPS.items()},
    calls.METHOD: read_ways(_METHOD),
    calls.METHOD_OF_FRAME: read_ways("method = InlinedCallFrame.Datum"),
    calls.CODE: read_ways(_CODE),
    calls.STATICS_OF_MODULE: read_ways(_LOCAL_MODULE),
    calls.THREAD_STATICS_OF_MODULE: read_ways(_THREAD_LOCAL_MODULE),
    calls.STATICS: read_ways(_STATICS),
    calls.GLOBAL_ALLOCATION: read_ways(_GLOBAL_ALLOCATION),
}
