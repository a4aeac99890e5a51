"""Fields that the runtime's headers declare one right after the other: each tells where the next one is.

src/coreclr/vm, src/coreclr/gc, src/coreclr/inc of 3.0 to 10.0. A row is one way to declare them. A number stands for so many bytes of a
member that the layouts leave out, or of padding; START and END for the bounds of the structure. Of several rows whose fields a layout has,
of those with the most fields, one has to be right: versions and machines differ. A row that goes on in another structure goes on from a
base class to a class that derives from it.
"""

from typing import Final

START: Final = ".START"  # with the dot of a whole name
END: Final = ".END"
Row = tuple[str | int, ...]


def _of(type_name: str, *fields: str | int) -> Row:
    return tuple(f"{type_name}.{field}" if isinstance(field, str) and "." not in field else field for field in fields)


# exceptionhandling.h: ExceptionTracker up to 8.0, and the base class of ExInfo (exinfo.h) since 9.0; exstatecommon.h
_EXCEPTION_TRACKER: Final = (
    *_of("ExceptionInfo", START, 8, "PreviousNestedInfo", "Thread", "StackLowBound", "StackHighBound", 16, 8, "ThrownObject", 24, 48),
    *_of("ExceptionInfo", 32, 8, 8, "CallerOfActualHandlerFrame", "ExceptionFlags", 4, "LimitFrame", 48, 24, "ClauseType"),
    *_of("ExceptionInfo", "ManagedCodeEntered", 16, "EnclosingClauseCallerSP", 8, 8, "CurrentEstablisherFrame"),
    *_of("ExceptionInfo", "LastUnwoundEstablisherFrame", "InitialExplicitFrame", 8, "CollapsedEnclosingClauseCallerSP"),
)
_EX_INFO: Final = _of(
    "ExceptionInfo", START, "PreviousNestedInfo", "ThrownObject", 16, 32, "ExceptionFlags", 12, 48, "StackLowBound", "StackHighBound"
)


def _ex_info_end(iterator_bytes: int) -> Row:
    """What follows, with a StackFrameIterator of that size among it."""
    return _of("ExceptionInfo", 24, 8, 8, 8, iterator_bytes, 8, 8, 8, 8, "CallerOfActualHandlerFrame")


FRAMES: Final[tuple[tuple[Row, ...], ...]] = (  # frames.h
    (_of("FramedMethodFrame", "Frame.Next", "TransitionBlockPtr", "MethodDescPtr", "DynamicHelperFrame.DynamicHelperFrameFlags"),),
    (_of("FramedMethodFrame", "Frame.Next", "TransitionBlockPtr", "MethodDescPtr"),),
    (
        _of(
            "StubDispatchFrame",
            "FramedMethodFrame.MethodDescPtr",
            "RepresentativeMTPtr",
            "RepresentativeSlot",
            4,
            8,
            "Indirection",
            "GCRefMap",
        ),
    ),
    (_of("ExternalMethodFrame", "FramedMethodFrame.MethodDescPtr", 8, "Indirection", "GCRefMap"),),
    (_of("PInvokeCalliFrame", "FramedMethodFrame.MethodDescPtr", "VASigCookiePtr"),),
    (
        _of("VASigCookie", START, 4, 4, 8, "Module", "Signature"),
        _of("VASigCookie", START, 4, 4, 8, "Module", 8, "Signature", 8, "ClassInst", 8, "MethodInst"),
    ),
    (_of("ProtectByRefsFrame", "Frame.Next", "ByRefInfoList"),),
    (_of("ByRefInfo", START, "Next", 4, "ElementType", 3, "TypeHandle", "Data"),),
    (_of("ProtectValueClassFrame", "Frame.Next", "ValueClassInfoList"),),
    (_of("ValueClassInfo", START, "Next", "MethodTable", "Data"),),
    (_of("HijackFrame", "Frame.Next", "ReturnAddress", "Thread", "HijackArgsPtr"),),
    (_of("ResumableFrame", "Frame.Next", "TargetContextPtr"),),
    (
        _of("InlinedCallFrame", "Frame.Next", "Datum", "CallSiteSP", "CallerReturnAddress", "CalleeSavedFP"),
        _of("InlinedCallFrame", "Frame.Next", "Datum", 8, "CallSiteSP", "CallerReturnAddress", "CalleeSavedFP"),
    ),
    (_of("FuncEvalFrame", "Frame.Next", 8, "DebuggerEvalPtr"),),
    (_of("HelperMethodFrame", "Frame.Next", 8, "FrameAttribs", 4, 8, "FCallEntry", "MachineState", "HelperMethodFrame_1OBJ.ObjRefs"),),
    (_of("FaultingExceptionFrame", "Frame.Next", 8, 8, "TargetContext"),),
    (
        # KNONVOLATILE_CONTEXT_POINTERS of pal.h: 16 registers of each kind; x19 to lr, d8 to d15
        _of("SoftwareExceptionFrame", "Frame.Next", "ReturnAddress", *[8] * 32, 8, "TargetContext"),
        _of("SoftwareExceptionFrame", "Frame.Next", "ReturnAddress", *[8] * 20, 8, "TargetContext"),
    ),
    (
        _of("GCFrame", "Next", "Thread", "ObjRefs", "NumObjRefs", "MaybeInterior"),
        _of("GCFrame", "Next", "ObjRefs", "NumObjRefs", 4, "Thread", "MaybeInterior"),
        _of("GCFrame", "Frame.Next", "ObjRefs", "NumObjRefs", 4, "Thread", "MaybeInterior"),
    ),
)
REGISTERS: Final[tuple[tuple[Row, ...], ...]] = (  # cgencpu.h, gmscpu.h of vm/amd64 and vm/arm64
    (_of("CalleeSavedRegisters", START, "R12", "R13", "R14", "R15", "Rbx", "Rbp"),),
    (_of("CalleeSavedRegisters", START, "Fp", "Lr", *(f"X{number}" for number in range(19, 29))),),
    (
        _of("TransitionBlock", START, "ArgumentRegisters", "CalleeSavedRegisters", "ReturnAddress", END),
        _of("TransitionBlock", START, "CalleeSavedRegisters", 8, "FirstGCRefMapSlot", "ArgumentRegisters", END),
    ),
    (_of("TransitionBlock", "CalleeSavedRegisters.Fp", "ReturnAddress"),),  # on arm64 it is lr among the registers
    (
        # rax, rdx (and rcx since 10.0), the registers, the return address
        _of("HijackArgs", START, "ReturnValue", "CalleeSavedRegisters", 8, END),
        _of("HijackArgs", START, "ReturnValue", 8, "CalleeSavedRegisters", 8, END),
        _of("HijackArgs", START, "ReturnValue", 8, 8, "CalleeSavedRegisters", 8, END),
        # the registers, x0, x1 (and x2 since 10.0, and what aligns the rest), four vector registers
        _of("HijackArgs", START, "CalleeSavedRegisters", "ReturnValue", 8, *[8] * 8, END),
        _of("HijackArgs", START, "CalleeSavedRegisters", "ReturnValue", 8, 8, 8, *[8] * 8, END),
    ),
    (
        _of("MachineState", START, "Rip", "Rsp", "Capture", "SavedAt", "ReturnAddressPtr", "Unwound", "CaptureRip", "CaptureRsp"),
        _of("MachineState", START, "Capture", "SavedAt", "Pc", "Sp", "IsValid", 4, "CaptureSp", "CapturePc"),
    ),
)
_GC_VARIABLES: Final = (
    *(8, 8, 8, "GenerationTable", 8, 8, "CurrentGCState", "EphemeralHeapSegment", 8, 8, 8, 8, "AllocAllocated", 8, 8, "FinalizeQueue"),
    *(8, 8, 8, "HeapCount", "Heaps", "StructuresInvalidCount", 8, 8, 8, 8, "HandleTableMap"),
)
COLLECTOR: Final[tuple[tuple[Row, ...], ...]] = (  # gcpriv.h, gcinterface.h, gcinterface.dacvars.def, handletablepriv.h, objecthandle.h
    (_of("GCAllocContext", "Pointer", "Limit"),),
    (_of("Generation", "AllocContextPointer", "AllocContextLimit"),),
    (
        _of("GcDacVars", START, 1, "MinorVersion", 6, "GenerationSize", "TotalGenerationCount", *_GC_VARIABLES),
        _of("GcDacVars", START, 1, "MinorVersion", 6, "GenerationSize", *_GC_VARIABLES),  # to 3.1
    ),
    (_of("GcDacVars", "GenerationTable", "MaxGeneration"),),
    (_of("GcDacVars", "HandleTableMap", "HeapFieldOffsets", "GenerationFieldOffsets"),),
    (_of("GcDacVars", "GenerationFieldOffsets", "BookkeepingStart", *[8] * 5, 4, 4, "CardTableInfoSize"),),
    (_of("HeapSegment", START, "Allocated", "Committed", "Reserved", 8, "Mem", "Flags", "Next"),),
    (_of("ServerHeap", START, "AllocAllocated", "EphemeralHeapSegment", "FinalizeQueue"),),  # dac_gc_heap
    (_of("HandleTableMap", START, "Buckets", "Next", "MaxIndex"),),
    (
        _of("HandleTable", "TypeCount", 4, "SegmentList"),  # behind a lock, to 7.0
        _of("HandleTable", START, "TypeFlags", *[4] * 11, "SegmentList"),
        _of("HandleTable", START, "TypeFlags", *[4] * 12, 4, "SegmentList"),
    ),
    (_of("TableSegment", "BlockType", "UserData"),),
    (_of("TableSegment", "NextSegment", "HandleTable"),),
    (
        _of("CardTableInfo", START, "Recount", 4, "LowestAddress", "HighestAddress", "BrickTable", 8, "MarkArray", "Size", "NextCardTable"),
        _of("CardTableInfo", START, "Recount", 4, "Size", "NextCardTable", "LowestAddress", "HighestAddress", "BrickTable", 8, "MarkArray"),
        _of("CardTableInfo", START, "Recount", 4, "Size", "NextCardTable", "LowestAddress", "HighestAddress"),
    ),
)
METHODS_AND_TYPES: Final[tuple[tuple[Row, ...], ...]] = (  # class.h, method.hpp, typedesc.h, field.h, codeman.h, patchpointinfo.h
    (_of("EEClass", "MethodTable", "FieldDescList", "MethodDescChunk"),),
    (
        _of("EEClass", "InternalCorElementType", "FieldsArePacked", "FixedSizeBytes", "BaseSizePadding"),
        _of("EEClass", "InternalCorElementType", "BaseSizePadding", "NumInstanceFields"),
    ),
    (_of("FieldDesc", START, "MethodTableOfEnclosingClass", "DWord1", "DWord2", END),),
    (
        # behind TypeDesc, which TypeVarTypeDesc goes on from with its module, comes a pointer; to 7.0 there was none
        _of("FnPtrTypeDesc", "TypeVarTypeDesc.Module", "NumArgs", 4, "RetAndArgTypes"),
        _of("FnPtrTypeDesc", "TypeDesc.TypeAndFlags", "NumArgs", 4, 4, "RetAndArgTypes"),
    ),
    (_of("GenericsDictInfo", "NumDicts", "NumTypeArgs"),),
    (_of("InstantiatedMethodDesc", "PerInstInfo", 2, "NumGenericArgs"),),
    (_of("AsyncMethodData", START, "Kind", 4, "Signature"),),
    (_of("MethodDesc", START, "Flags3AndTokenRemainder", "ChunkIndex", 1, "Slot", "Flags"),),
    (_of("MethodDescChunk", START, "MethodTable", "Next", "Size", "Count", "FlagsAndTokenRange", 4, END),),
    (_of("StoredSigMethodDesc", "Sig", "cSig", "ExtendedFlags"),),
    (_of("CodeHeapListNode", "StartAddress", "EndAddress", "MapBase", "HeaderMap"),),
    (
        _of("RangeSection", START, "RangeBegin", "RangeEndOpen", "Flags", 4, 8, "R2RModule", "HeapList"),
        _of("RangeSection", START, "RangeBegin", "RangeEndOpen", 8, "Next", 8, "Flags", 4, "HeapListOrZapModule"),
    ),
    (_of("RangeSectionMap", START, "TopLevelData"),),
    (_of("ThisPtrRetBufPrecodeData", START, 8, "MethodDesc"),),  # precode.h
    (_of("RangeSectionFragment", START, "Next", 8, 8, "RangeSection"),),
    (_of("RealCodeHeader", START, "DebugInfo", "EHInfo", "GCInfo", "MethodDesc", "NumUnwindInfos", "UnwindInfos"),),
    (
        _of("RuntimeFunction", START, "BeginAddress", "EndAddress", "UnwindData", END),
        _of("RuntimeFunction", START, "BeginAddress", "UnwindData", END),
    ),
    (_of("ReadyToRunInfo", "RuntimeFunctions", "NumRuntimeFunctions"),),
    (_of("PatchpointInfo", "NumberOfLocals", 4, 4, 4, 4, 4, END),),
    (_of("ECHash", START, "Next", "Implementation", "MethodDesc"),),
)
STATICS: Final[tuple[tuple[Row, ...], ...]] = (  # appdomain.hpp, methodtable.h, threadstatics.h, ceeload.h
    (_of("DomainLocalModule", "DynamicClassTable", "DynamicEntries"),),
    (_of("DomainLocalModule", "GCStatics", "ModuleIndex", "DataBlob"),),
    (_of("DynamicClassInfo", START, "DynamicEntry", "Flags", 4, END),),
    (_of("NormalDynamicEntry", START, "GCStatics", "DataBlob"),),
    (_of("CollectibleDynamicEntry", START, "GCStatics", "NonGCStatics"),),
    (_of("DynamicStaticsInfo", START, "GCStatics", "NonGCStatics", "MethodTable", END),),
    (_of("ThreadLocalBlock", START, "TLMTable", "TLMTableSize"),),
    (_of("ThreadLocalModule", START, "DynamicClassTable", "DynamicEntries", "GCStatics"),),
    (
        _of(
            "ThreadLocalData",
            START,
            4,
            "CollectibleTlsDataCount",
            "NonCollectibleTlsArrayData",
            "CollectibleTlsArrayData",
            "Thread",
            "InFlightData",
        ),
    ),
    (_of("ThreadLocalData", START, 4, "CollectibleTlsDataCount", "NonCollectibleTlsArrayData", "CollectibleTlsArrayData", "Thread"),),
    (_of("InFlightTLSData", START, "Next", "TlsIndex", 4, "TLSData"),),
    (_of("ThreadStaticsInfo", START, "NonGCTlsIndex", "GCTlsIndex"),),
    (_of("Module", "ModuleID", "ModuleIndex"),),
)
OTHERS: Final[tuple[tuple[Row, ...], ...]] = (  # arraylist.h, sbuffer.h, hash.h, dacenumerablehash.h, peimage.h, threads.h, syncblk.h, ...
    (_of("ArrayListBase", START, "Count", 4, "FirstBlock"),),
    (_of("ArrayListBlock", START, "Next", "Size", 4, "ArrayStart"),),
    (_of("Bucket", START, "Keys", 8, 8, 8, "Values", 8, 8, 8, END),),
    (_of("DynamicMetadata", START, "Size", "Data"), _of("DynamicMetadata", START, "Size", 4, 4, 4, "Buffer")),
    (_of("EETypeHashTable", "Buckets", "Count"), _of("EETypeHashTable", "Buckets", "BucketCount", "Count")),
    (_EXCEPTION_TRACKER, (*_EX_INFO, *_ex_info_end(848)), (*_EX_INFO, *_ex_info_end(328)), _EX_INFO),
    (_of("LoaderHeapBlock", START, "Next", "VirtualAddress", "VirtualSize"),),
    (_of("ModuleLookupMap", START, "Next", "TableData", "Count", 4, "SupportedFlagsMask"),),
    (
        _of("PEImage", "FlatImageLayout", "MappedImageLayout", "LoadedImageLayout"),
        _of("PEImage", "FlatImageLayout", "LoadedImageLayout"),
    ),
    (_of("PEImageLayout", "Base", "Size", "Flags"),),
    (_of("RecordPool", "RecordBytes", 4, END),),
    (_of("SString", START, "Size", 4, 4, 4, "Buffer"),),
    (_of("StgPoolSeg", START, "Data", "Next", 4, "UsedBytes"),),
    (
        _of("AwareLock", START, "LockState", "Recursion", "HoldingThread"),
        _of("AwareLock", START, "LockState", "Recursion", "HoldingThreadId"),
    ),
    (_of("SyncBlock", "Link", 4, 4, END),),  # the hash code
    (_of("SyncBlockCache", "FreeSyncTableIndex", 8, "SyncTableSize"),),
    (_of("SyncTableEntry", START, "SyncBlock", "Object", END),),
    (_of("Thread", "State", "PreemptiveGCDisabled", "Frame"),),
    (_of("WaitEventLink", "Thread", 8, "LinkSB"),),
    (
        _of("ThreadStore", "FirstThreadLink", 8, 8, "ThreadCount", "UnstartedCount", "BackgroundCount", 4, "DeadCount"),
        _of("ThreadStore", "FirstThreadLink", 8, 8, "ThreadCount", 4, "UnstartedCount", "BackgroundCount", 4, "DeadCount"),
    ),
    (
        _of("VirtualCallStubManager", "IndirectionCellHeap", "CacheEntryHeap", "LookupHeap", "DispatchHeap", "ResolveHeap", "VtableHeap"),
        _of("VirtualCallStubManager", "IndirectionCellHeap", "CacheEntryHeap"),
    ),
)
ORDERS: Final = (*FRAMES, *REGISTERS, *COLLECTOR, *METHODS_AND_TYPES, *STATICS, *OTHERS)
