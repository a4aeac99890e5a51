"""Why a number of the layout files can move by a step without any self-check noticing, by pattern, each group with its reason."""

RARE_FRAMES = "such a Frame, or the state in it, is on a stack only at certain moments; where it is, stacks are compared with the oracle"
MARKS = "no stack of these dumps has such a Frame; a mark or a vtable that two classes would share is noticed"
BOUND = "only an upper bound, or a mask of bits that are never set: nothing else is read by it"
CHECKS_ALONE = "read by self-checks alone: a wrong one takes an ability away or does nothing"
VANISHES = "by a wrong number the structure looks as if the process had none: the check then says that it was not exercised"
SECOND_WAY = "its neighbour leads to the same thing, or tells the same of it"
LABEL = "tells apart heaps of the class loader by name, in `memory` alone"
ALIKE = "its neighbour holds zero, or the same, in these dumps"
SEARCHED = "found by a search of the dump that takes only what fits the heap; nothing fits a wrong number, and the answer says so"
NO_CASE = "these dumps have no case of it"
HALF_WORD = "noticed a whole word off; half a word off it reads bytes that are zero or alike in these dumps"

REASONS = {
    MARKS: [
        "constant *FrameIdentifier",
        "constant VTableIndex.*",
    ],
    RARE_FRAMES: [
        "CalleeSavedRegisters.*",
        "DebuggerEval.*",
        "DynamicHelperFrame.*",
        "ExternalMethodFrame.*",
        "FaultingExceptionFrame.*",
        "FramedMethodFrame.*",
        "FuncEvalFrame.*",
        "GCFrame.*",
        "HelperMethodFrame.*",
        "HelperMethodFrame_1OBJ.*",
        "HijackArgs.*",
        "HijackFrame.*",
        "InlinedCallFrame.*",
        "MachineState.*",
        "ResumableFrame.*",
        "SoftwareExceptionFrame.*",
        "StubDispatchFrame.*",
        "TransitionBlock.*",
        "size of HijackArgs",
        "size of TransitionBlock",
    ],
    VANISHES: [
        "EEClassOptionalFields.ModuleDynamicID",
        "ExceptionInfo.*",
        "GenericsStaticsInfo.DynamicTypeID",
        "InFlightTLSData.*",
        "LoaderAllocator.ObjectHandle",
        "LoaderAllocatorObject.*",
        "Module.DynamicMetadata",
        "Thread.ExceptionTracker",
        "Thread.GCFrame",
        "Thread.LastThrownObject",
        "ThreadLocalData.InFlightData",
        "TPABinder.*",
        "AppDomain.TPABinder",
        "constant MethodTableFlags.StaticsMask",
        "constant MethodTableFlags2.MultipurposeSlotsMask",
    ],
    BOUND: [
        "DomainLocalModule.DynamicEntries",
        "ModuleLookupMap.SupportedFlagsMask",
        "ThreadLocalData.CollectibleTlsDataCount",
        "ThreadLocalModule.DynamicEntries",
        "constant HandleTable.BucketsPerMap",
        "constant MethodTable.CanonicalTagMask",
        "constant ObjectToMethodTableUnmask",
        "constant StubCodeBlockLast",
    ],
    CHECKS_ALONE: [
        "GcDacVars.MinorVersion",
        "ThreadStore.*Count",
    ],
    LABEL: [
        "LoaderAllocator.*Heap",
        "LoaderAllocator.VirtualCallStubManager",
        "Module.ThunkHeap",
        "VirtualCallStubManager.*",
    ],
    SECOND_WAY: [
        "AssemblyBinder.AssemblyLoadContext",
        "BinderAssembly.Binder",
        "PEAssembly.*",
        "PEImage.*ImageLayout",
        "Thread.GCHandle",
    ],
    SEARCHED: ["CardTableInfo.*"],
    ALIKE: [
        "AwareLock.Recursion",
        "CollectibleDynamicEntry.*",
        "DynamicStaticsInfo.NonGCStatics",
        "FnPtrTypeDesc.NumArgs",
        "GcDacVars.*",
        "HandleTableMap.Next",
        "HeapSegment.*",
        "Module.TypeRefToMethodTableMap",
        "NormalDynamicEntry.DataBlob",
        "PEImageLayout.Flags",
        "RangeSection.*",
        "ReadyToRunInfo.*",
        "SString.Size",
        "ServerHeap.*",
        "StoredSigMethodDesc.cSig",
        "SyncBlock.Link",
        "SyncBlockCache.FreeSyncTableIndex",
        "TableSegment.NextSegment",
        "Thread.PreemptiveGCDisabled",
        "constant GCInfoVersion",
        "constant HeapSegmentFlags.ReadOnly",
        "constant PEImageLayoutFlags.Mapped",
    ],
    NO_CASE: [
        "*CLiteWeightStgdbRW.*",
        "DynamicMetadata.*",
        "FnPtrTypeDesc.*",
        "InstantiatedMethodDesc.*",
        "MDInternalRW.*",
        "MethodTableAuxiliaryData.*",
        "PatchpointInfo.*",
        "RangeSectionMap.TopLevelData",
        "StgPool*",
        "StubPrecodeData.*",
        "ThisPtrRetBufPrecodeData.*",
        "WaitEventLink.*",
        "constant GCHeapFieldIndex.*",
        "constant StubPrecodeType.*",
        "size of PatchpointInfo",
        "size of RecordPool",
    ],
}
