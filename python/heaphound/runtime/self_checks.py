"""Checks of the layout against the dump: an offset that has moved must be noticed here, by name, not by wrong answers later."""

from collections.abc import Callable

from heaphound.runtime.ability import Ability
from heaphound.runtime.checks import Check, run_checks
from heaphound.runtime.code_checks import (
    check_frame_types,
    check_image_functions,
    check_internal_calls,
    check_prepared,
    check_virtual_methods,
)
from heaphound.runtime.content_checks import check_current_threads, check_known_statics, check_methods
from heaphound.runtime.handle_checks import check_handles
from heaphound.runtime.header_checks import check_headers
from heaphound.runtime.heap_checks import HEAP_CHECKS
from heaphound.runtime.held_checks import (
    check_exceptions,
    check_finalizable,
    check_held_statics,
    check_held_thread_statics,
    check_initialized,
)
from heaphound.runtime.link_checks import check_bookkeeping, check_chunks, check_loader_heaps
from heaphound.runtime.method_checks import check_array_methods, check_jit_headers, check_made_methods, check_tokens
from heaphound.runtime.modules import ModuleList
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stack_checks import check_protected, check_stacks
from heaphound.runtime.static_id_checks import check_dynamic_ids
from heaphound.runtime.stub_checks import check_stub_precodes
from heaphound.runtime.thread_checks import (
    check_code_ranges,
    check_finalizer_queue,
    check_statics,
    check_sync_blocks,
    check_thread_statics,
    check_threads,
)

CHECKS = [
    *HEAP_CHECKS,
    Check("statics", "owner", (("DynamicStaticsInfo", "GCStatics"), ("DomainLocalModule", "GCStatics")), check_statics),
    Check("statics", "known statics", (("FieldDesc", "DWord1"),), check_known_statics),
    Check("statics", "declared types", (("DynamicStaticsInfo", "GCStatics"), ("DynamicClassInfo", "DynamicEntry")), check_held_statics),
    Check("statics", "dynamic class ids", (("GenericsStaticsInfo", "DynamicTypeID"),), check_dynamic_ids),
    Check("statics", "initialized", (("DomainLocalModule", "DataBlob"),), check_initialized),
    Check("thread statics", "owner", (("Thread", "ThreadLocalDataPtr"), ("ThreadLocalBlock", "TLMTable")), check_thread_statics),
    Check(
        "thread statics",
        "Thread.t_currentThread",
        (("ThreadStaticsInfo", "GCTlsIndex"), ("ThreadLocalModule", "GCStatics")),
        check_current_threads,
    ),
    Check("thread statics", "declared types", (("ThreadLocalData", "NonCollectibleTlsArrayData"),), check_held_thread_statics),
    Check("handles", "HandleTable", (("HandleTable", "SegmentList"), ("TableSegment", "BlockType")), check_handles),
    Check("finalizer queue", "CFinalize", (("CFinalize", "FillPointers"),), check_finalizer_queue),
    Check("finalizer queue", "finalizers", (("MethodTable", "MTFlags"),), check_finalizable),
    Check("threads", "ThreadStore", (("ThreadStore", "FirstThreadLink"), ("Thread", "LinkNext")), check_threads),
    Check("threads", "exceptions", (("Thread", "LastThrownObject"), ("Thread", "ExceptionTracker")), check_exceptions),
    Check("locks", "headers", (("SyncTableEntry", "Object"),), check_headers),
    Check("locks", "SyncTableEntry", (("SyncTableEntry", "SyncBlock"), ("SyncBlock", "Link")), check_sync_blocks),
    Check("code", "RangeSection", (("RangeSection", "RangeBegin"), ("CodeHeapListNode", "HeaderMap")), check_code_ranges),
    Check("code", "methods", (("RealCodeHeader", "MethodDesc"), ("MethodDescChunk", "MethodTable")), check_methods),
    Check("code", "MethodDescs of System.Object", (("EEClass", "MethodDescChunk"),), check_chunks),
    Check("code", "tokens", (("MethodDescChunk", "FlagsAndTokenRange"), ("Module", "MethodDefToDescMap")), check_tokens),
    Check("code", "methods of arrays", (("MethodDescChunk", "Count"),), check_array_methods),
    Check("code", "JIT headers", (("RealCodeHeader", "UnwindInfos"), ("RealCodeHeader", "EHInfo")), check_jit_headers),
    Check("code", "made methods", (("InstantiatedMethodDesc", "NumGenericArgs"), ("StoredSigMethodDesc", "Sig")), check_made_methods),
    Check("code", "virtual methods", (("MethodTable", "NumVirtuals"),), check_virtual_methods),
    Check("code", "functions of images", (("ReadyToRunInfo", "RuntimeFunctions"),), check_image_functions),
    Check("code", "stubs", (("StubPrecodeData", "Type"),), check_stub_precodes),
    Check("code", "prepared methods", (("ReadyToRunInfo", "EntryPointToMethodDescMap"),), check_prepared),
    Check("code", "internal calls", (("ECHash", "MethodDesc"),), check_internal_calls),
    Check("stacks", "Frames", (("Frame", "Next"), ("Thread", "Frame")), check_frame_types),
    Check("stacks", "walk", (("RealCodeHeader", "UnwindInfos"), ("InlinedCallFrame", "CallSiteSP")), check_stacks),
    Check("stacks", "GCFrames", (("GCFrame", "ObjRefs"),), check_protected),
    Check("memory map", "loader heaps", (("LoaderAllocator", "HighFrequencyHeap"), ("LoaderHeapBlock", "Next")), check_loader_heaps),
    Check("memory map", "tables of the GC", (("GcDacVars", "BookkeepingStart"), ("CardTableInfo", "LowestAddress")), check_bookkeeping),
]


def read_abilities(runtime: Runtime, modules: Callable[[], ModuleList] | None = None) -> tuple[Ability, ...]:
    """What can be done with this dump, each ability with the outcome of its checks."""
    return run_checks(runtime, CHECKS, modules)
