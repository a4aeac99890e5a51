"""Numbers of the layout files that no self-check asks for on a dump of Zoo, by pattern, each group with its reason."""

ABSENT_FRAMES = "such a Frame, or the state in it, is on a stack only at certain moments"
SERVER = "used with the server GC only; the dump is of the workstation GC"
COLLECTIBLE = "for collectible or generic types with statics, which a process need not have"
OBJECTS = "a flag or field of single objects and types, which has no second place to compare with"
SEARCHED = "found by a search of the dump that takes only what fits the heap; nothing fits a wrong number, and the answer says so"
RARE = "a structure that a process need not have, or a second way to what another number leads to"

UNGUARDED = {
    ABSENT_FRAMES: [
        "CalleeSavedRegisters.*",
        "DebuggerEval.*",
        "DynamicHelperFrame.*",
        "ExceptionInfo.*",
        "ExternalMethodFrame.*",
        "FaultingExceptionFrame.*",
        "FramedMethodFrame.*",
        "FuncEvalFrame.*",
        "GCFrame.*",
        "HelperMethodFrame_1OBJ.*",
        "HijackArgs.*",
        "HijackFrame.*",
        "InlinedCallFrame.*",
        "MachineState.*",
        "RealCodeHeader.EHInfo",
        "ResumableFrame.*",
        "SoftwareExceptionFrame.*",
        "StubDispatchFrame.*",
        "Thread.ExceptionTracker",
        "Thread.GCFrame",
        "TransitionBlock.*",
        "WaitEventLink.Thread",
        "size of HijackArgs",
        "size of TransitionBlock",
    ],
    SERVER: [
        "GcDacVars.HeapCount",
        "GcDacVars.HeapFieldOffsets",
        "ServerHeap.*",
        "constant GCHeapFieldIndex.*",
        "constant GenerationFieldIndex.*",
    ],
    COLLECTIBLE: [
        "CollectibleDynamicEntry.*",
        "DomainLocalModule.Dynamic*",
        "DynamicClassInfo.*",
        "EEClass.OptionalFields",
        "EEClassOptionalFields.*",
        "GenericsStaticsInfo.*",
        "InFlightTLSData.*",
        "LoaderAllocator.ObjectHandle",
        "LoaderAllocatorObject.*",
        "MethodTable.AuxiliaryData",
        "MethodTableAuxiliaryData.*",
        "NormalDynamicEntry.*",
        "ThreadLocalData.Collectible*",
        "ThreadLocalModule.Dynamic*",
        "constant DynamicClassFlags.Collectible",
        "constant MethodTableFlags.StaticsGenerics",
        "constant MethodTableFlags2.MultipurposeSlotsMask",
        "size of DynamicClassInfo",
    ],
    OBJECTS: [
        "EEClass.BaseSizePadding",
        "HeapSegment.Used",
        "constant MethodTableFlags.Category*",
        "constant MethodTableFlags.HasFinalizer",
        "constant ObjectHeader.*",
    ],
    SEARCHED: ["CardTableInfo.*", "GcDacVars.MarkArray", "GcDacVars.MaxGeneration"],
    RARE: [
        "CodeHeapListNode.*",
        "DynamicMetadata.*",
        "FnPtrTypeDesc.*",
        "InstantiatedMethodDesc.*",
        "MethodDescChunk.Count",
        "Module.*",
        "PEImage.*ImageLayout",
        "RangeSectionFragment.*",
        "RangeSectionMap.TopLevelData",
        "StubPrecodeData.*",
        "ThisPtrRetBufPrecodeData.*",
        "constant StubPrecodeType.*",
        "size of ArrayMethodDesc",
    ],
}

UNNOTICED: dict[str, list[str]] = {
    "a flag of single Frames, which has no second place to compare with": [
        "HelperMethodFrame.FrameAttribs",
    ],
}
