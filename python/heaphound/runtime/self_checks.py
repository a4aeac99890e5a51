"""Checks of the layout against the dump: an offset that has moved must be noticed here, by name, not by wrong answers later."""

from collections.abc import Callable
from dataclasses import dataclass

from heaphound.errors import HeaphoundError, Malformed
from heaphound.runtime.ability import Ability
from heaphound.runtime.check_subject import ABSENT, CheckSubject, Disagreement
from heaphound.runtime.code_checks import (
    check_frame_types,
    check_image_functions,
    check_internal_calls,
    check_prepared,
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
from heaphound.runtime.handle_checks import check_handles
from heaphound.runtime.header_checks import check_headers
from heaphound.runtime.held_checks import (
    check_exceptions,
    check_finalizable,
    check_held_statics,
    check_held_thread_statics,
    check_initialized,
)
from heaphound.runtime.link_checks import check_bookkeeping, check_chunks, check_instantiations, check_loader_heaps
from heaphound.runtime.method_checks import check_array_methods, check_jit_headers, check_made_methods, check_tokens
from heaphound.runtime.module_checks import (
    check_binders,
    check_collectible_modules,
    check_emitted,
    check_images,
    check_references,
)
from heaphound.runtime.number_checks import check_numbers
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stack_checks import check_protected, check_stacks
from heaphound.runtime.static_id_checks import check_dynamic_ids
from heaphound.runtime.structure_checks import (
    check_assembly,
    check_assembly_list,
    check_class,
    check_code_ranges,
    check_fields,
    check_file,
    check_finalizer_queue,
    check_gc_state,
    check_image,
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
from heaphound.runtime.stub_checks import check_stub_precodes
from heaphound.runtime.type_checks import check_contents, check_kinds, check_sizes

SELF_CHECKED = "self-checked"
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Check:
    """A named check: `run` raises HeaphoundError when the dump does not agree with the layout. `rests_on` are the fields it vouches for."""

    ability: str
    name: str
    rests_on: Fields
    run: Callable[[CheckSubject], None]


CHECKS = [
    Check("layout", "numbers", (("Thread", "Id"), ("TableSegment", "Values"), ("FieldDesc", "DWord1")), check_numbers),
    Check("heap walk", "objects", (("MethodTable", "MTFlags"), ("MethodTable", "ParentMethodTable")), check_objects),
    Check("heap walk", "segments", (("HeapSegment", "Mem"), ("GcDacVars", "GenerationTable")), check_segments),
    Check("heap walk", "state of the GC", (("GcDacVars", "StructuresInvalidCount"),), check_gc_state),
    Check("heap walk", "walk of the smallest segments", (("HeapSegment", "Allocated"), ("MethodTable", "BaseSize")), check_walk),
    Check("types", "EEClass", (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")), check_class),
    Check("types", "TypeDef", (("Module", "TypeDefToMethodTableMap"), ("ModuleLookupMap", "TableData")), check_token),
    Check("types", "instantiations", (("Module", "AvailableTypeParams"), ("EETypeHashTable", "Count")), check_instantiations),
    Check("types", "kinds", (("MethodTable", "MTFlags"),), check_kinds),
    Check("types", "sizes", (("EEClass", "BaseSizePadding"),), check_sizes),
    Check("types", "contents", (("MethodTable", "MTFlags"),), check_contents),
    Check("type names", "metadata", (("PEImageLayout", "Base"),), check_metadata),
    Check("type names", "well-known types", (("Module", "TypeDefToMethodTableMap"),), check_names),
    Check("fields", "FieldDesc", (("EEClass", "FieldDescList"), ("FieldDesc", "DWord2")), check_fields),
    Check("fields", "known fields", (("FieldDesc", "DWord1"),), check_field_names),
    Check("modules", "assembly of the core library", (("Module", "Assembly"), ("Assembly", "Module")), check_assembly),
    Check("modules", "list of assemblies", (("AppDomain", "DomainAssemblyList"),), check_assembly_list),
    Check("modules", "file of the core library", (("PEAssembly", "PEImage"), ("PEImage", "Path")), check_file),
    Check("modules", "image of the core library", (("PEImageLayout", "Base"),), check_image),
    Check("modules", "modules", (("Module", "Assembly"), ("Assembly", "Module"), ("AppDomain", "DomainAssemblyList")), check_modules),
    Check("modules", "images", (("PEImageLayout", "Size"), ("PEImageLayout", "Flags")), check_images),
    Check("modules", "binders", (("PEAssembly", "AssemblyBinder"), ("AssemblyBinder", "AssemblyLoadContext")), check_binders),
    Check("modules", "modules that can be unloaded", (("LoaderAllocator", "ObjectHandle"),), check_collectible_modules),
    Check("modules", "modules made in memory", (("Module", "DynamicMetadata"),), check_emitted),
    Check("types", "references to types", (("Module", "TypeRefToMethodTableMap"),), check_references),
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
    Check("threads", "exceptions", (("Thread", "LastThrownObject"), ("ExceptionInfo", "ThrownObject")), check_exceptions),
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


def read_abilities(runtime: Runtime) -> tuple[Ability, ...]:
    """Every ability with the outcome of its checks: available when none finds a wrong number, else with the first one's sentence.

    In a dump that was meant to hold little, or was cut, a check that meets memory which is not there is not exercised.

    Reads some ten thousand words of the dump and walks a few small segments: some tenths of a second whatever the size of the heap. What is
    sampled (types, methods, threads, objects) is the first of each kind, so that the outcome is the same each time.
    """
    subject = CheckSubject(runtime)
    failed: dict[str, str | None] = {}
    unchecked: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    disagreeing = set[str]()
    for check in CHECKS:
        if failed.get(check.ability) is not None:
            continue
        before = len(subject.lacking)
        try:
            check.run(subject)
        except HeaphoundError as error:
            if subject.lacks(error):
                failed.setdefault(check.ability, None)
                unchecked.setdefault(check.ability, f"{check.name}: {error}")
                subject.not_exercised(f"{check.name}: {ABSENT}")
            else:
                failed[check.ability] = f"{check.name}: {error}"
                if isinstance(error, Disagreement | Malformed) and ABSENT not in str(error) and not subject.small:
                    disagreeing.add(check.ability)
        else:
            failed[check.ability] = None
        lacking.setdefault(check.ability, []).extend(subject.lacking[before:])
    return tuple(
        _ability(runtime, name, reason, lacking[name], name in disagreeing, unchecked.get(name)) for name, reason in failed.items()
    )


def _ability(runtime: Runtime, name: str, failed: str | None, lacking: list[str], disagrees: bool, unchecked: str | None) -> Ability:
    fields = tuple(field for check in CHECKS if check.ability == name for field in check.rests_on)
    origin = "" if failed else origin_of(runtime, fields)
    if unchecked is not None:
        origin = origin.replace(SELF_CHECKED, f"{SELF_CHECKED} in part")
    return Ability(name, failed is None, origin, failed, tuple(dict.fromkeys(lacking)), disagrees, unchecked)


def origin_of(runtime: Runtime, fields: Fields) -> str:
    """Where these fields' offsets come from, in the words that `info` shows; those that this runtime does not have are left out."""
    layout = runtime.layout
    origins = {layout.origin(type_name, field) for type_name, field in fields if layout.has(type_name, field)}
    words = {"descriptor": "descriptor", "layout file": file_in_words(runtime), "found by search": "found by search"}
    return " + ".join(words[origin] for origin in sorted(origins))


def file_in_words(runtime: Runtime) -> str:
    """What numbers of the layout file are worth, in the words that `info` shows."""
    status = f" ({runtime.layout_status})" if runtime.layout_status else ""
    return f"layout file{status}, {SELF_CHECKED}"
