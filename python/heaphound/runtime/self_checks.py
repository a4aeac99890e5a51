"""Checks of the layout against the dump: an offset that has moved must be noticed here, by name, not by wrong answers later."""

from collections.abc import Callable
from dataclasses import dataclass

from heaphound.errors import HeaphoundError
from heaphound.runtime.check_subject import CheckSubject
from heaphound.runtime.code_checks import (
    check_frame_types,
    check_internal_calls,
    check_prepared,
    check_stacks,
    check_virtual_methods,
)
from heaphound.runtime.content_checks import (
    check_current_threads,
    check_field_names,
    check_known_statics,
    check_metadata,
    check_methods,
    check_names,
)
from heaphound.runtime.link_checks import check_bookkeeping, check_chunks, check_instantiations, check_loader_heaps
from heaphound.runtime.runtime import Ability, Runtime
from heaphound.runtime.structure_checks import (
    check_class,
    check_code_ranges,
    check_fields,
    check_finalizer_queue,
    check_handles,
    check_modules,
    check_objects,
    check_segments,
    check_statics,
    check_sync_blocks,
    check_thread_statics,
    check_threads,
    check_token,
    check_walk,
)

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Check:
    """A named check: `run` raises HeaphoundError when the dump does not agree with the layout. `rests_on` are the fields it vouches for."""

    ability: str
    name: str
    rests_on: Fields
    run: Callable[[CheckSubject], None]


CHECKS = [
    Check("heap walk", "objects", (("MethodTable", "MTFlags"), ("MethodTable", "ParentMethodTable")), check_objects),
    Check("heap walk", "segments", (("HeapSegment", "Mem"), ("GcDacVars", "GenerationTable")), check_segments),
    Check("heap walk", "walk of the smallest segments", (("HeapSegment", "Allocated"), ("MethodTable", "BaseSize")), check_walk),
    Check("types", "EEClass", (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")), check_class),
    Check("types", "TypeDef", (("Module", "TypeDefToMethodTableMap"), ("ModuleLookupMap", "TableData")), check_token),
    Check("types", "instantiations", (("Module", "AvailableTypeParams"), ("EETypeHashTable", "Count")), check_instantiations),
    Check("type names", "metadata", (("Module", "Path"),), check_metadata),
    Check("type names", "well-known types", (("Module", "TypeDefToMethodTableMap"),), check_names),
    Check("fields", "FieldDesc", (("EEClass", "FieldDescList"), ("FieldDesc", "DWord2")), check_fields),
    Check("fields", "known fields", (("FieldDesc", "DWord1"),), check_field_names),
    Check("modules", "modules", (("Module", "Assembly"), ("Assembly", "Module"), ("AppDomain", "DomainAssemblyList")), check_modules),
    Check("statics", "owner", (("DynamicStaticsInfo", "GCStatics"), ("DomainLocalModule", "GCStatics")), check_statics),
    Check("statics", "known statics", (("FieldDesc", "DWord1"),), check_known_statics),
    Check("thread statics", "owner", (("Thread", "ThreadLocalDataPtr"), ("ThreadLocalBlock", "TLMTable")), check_thread_statics),
    Check(
        "thread statics",
        "Thread.t_currentThread",
        (("ThreadStaticsInfo", "GCTlsIndex"), ("ThreadLocalModule", "GCStatics")),
        check_current_threads,
    ),
    Check("handles", "HandleTable", (("HandleTable", "SegmentList"), ("TableSegment", "BlockType")), check_handles),
    Check("finalizer queue", "CFinalize", (("CFinalize", "FillPointers"),), check_finalizer_queue),
    Check("threads", "ThreadStore", (("ThreadStore", "FirstThreadLink"), ("Thread", "LinkNext")), check_threads),
    Check("locks", "SyncTableEntry", (("SyncTableEntry", "SyncBlock"), ("SyncBlock", "Link")), check_sync_blocks),
    Check("code", "RangeSection", (("RangeSection", "RangeBegin"), ("CodeHeapListNode", "HeaderMap")), check_code_ranges),
    Check("code", "methods", (("RealCodeHeader", "MethodDesc"), ("MethodDescChunk", "MethodTable")), check_methods),
    Check("code", "MethodDescs of System.Object", (("EEClass", "MethodDescChunk"),), check_chunks),
    Check("code", "virtual methods", (("MethodTable", "NumVirtuals"),), check_virtual_methods),
    Check("code", "prepared methods", (("ReadyToRunInfo", "EntryPointToMethodDescMap"),), check_prepared),
    Check("code", "internal calls", (("ECHash", "MethodDesc"),), check_internal_calls),
    Check("stacks", "Frames", (("Frame", "Next"), ("Thread", "Frame")), check_frame_types),
    Check("stacks", "walk", (("RealCodeHeader", "UnwindInfos"), ("InlinedCallFrame", "CallSiteSP")), check_stacks),
    Check("memory map", "loader heaps", (("LoaderAllocator", "HighFrequencyHeap"), ("LoaderHeapBlock", "Next")), check_loader_heaps),
    Check("memory map", "tables of the GC", (("GcDacVars", "BookkeepingStart"), ("CardTableInfo", "LowestAddress")), check_bookkeeping),
]


def read_abilities(runtime: Runtime) -> tuple[Ability, ...]:
    """Every ability with the outcome of its checks: available when all pass, else with the first one's sentence.

    Reads some thousand words of the dump and walks a few small segments: tens of milliseconds whatever the size of the heap.
    """
    subject = CheckSubject(runtime)
    outcome: dict[str, str | None] = {}
    for check in CHECKS:
        if outcome.get(check.ability) is not None:
            continue
        try:
            check.run(subject)
        except HeaphoundError as error:
            outcome[check.ability] = f"{check.name}: {error}"
        else:
            outcome[check.ability] = None
    return tuple(_ability(runtime, name, failed) for name, failed in outcome.items())


def _ability(runtime: Runtime, name: str, failed: str | None) -> Ability:
    fields = tuple(field for check in CHECKS if check.ability == name for field in check.rests_on)
    return Ability(name, failed is None, "" if failed else origin_of(runtime, fields), failed)


def origin_of(runtime: Runtime, fields: Fields) -> str:
    """Where these fields' offsets come from, in the words that `info` shows; those that this runtime does not have are left out."""
    layout = runtime.layout
    origins = {layout.origin(type_name, field) for type_name, field in fields if layout.has(type_name, field)}
    words = {"descriptor": "descriptor", "layout file": "layout file, self-checked", "found by search": "found by search"}
    return " + ".join(words[origin] for origin in sorted(origins))
