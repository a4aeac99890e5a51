"""Checks of the layout against the dump: an offset that has moved must be noticed here, by name, not by wrong answers later."""

from collections.abc import Callable
from dataclasses import dataclass

from heaphound.errors import HeaphoundError, LayoutError
from heaphound.runtime.code_ranges import code_ranges
from heaphound.runtime.entry_checks import check_free_object, check_string, global_value
from heaphound.runtime.finalizer import read_finalizer_queue
from heaphound.runtime.handles import read_handle_table
from heaphound.runtime.heap import read_heap
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.runtime import Ability, Runtime
from heaphound.runtime.sync_blocks import read_sync_blocks
from heaphound.runtime.thread_list import thread_addresses
from heaphound.runtime.threads import read_threads

MAXIMUM_LOCAL_MODULES = 1 << 20

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Check:
    """A named check: `run` raises HeaphoundError when the dump does not agree with the layout. `rests_on` are the fields it vouches for."""

    ability: str
    name: str
    rests_on: Fields
    run: Callable[[Runtime], None]


def check_objects(runtime: Runtime) -> None:
    """The MethodTables of the free object, System.String and System.Object."""
    check_free_object(runtime.memory, runtime.layout)
    check_string(runtime.memory, runtime.layout)


def check_segments(runtime: Runtime) -> None:
    """Every segment list ends, each segment's bounds are in order, none overlap."""
    heap = read_heap(runtime)
    if heap.gaps:
        raise LayoutError(f"self-check heap_segment: {heap.gaps[0].reason} at {heap.gaps[0].address:#x}")
    if not heap.object_ranges():
        raise LayoutError("self-check heap_segment: there is no object in the whole heap")


def check_class(runtime: Runtime) -> None:
    """EEClass.MethodTable leads back, for System.Object and System.String."""
    tables = MethodTables(runtime.memory, runtime.layout)
    for name in ("ObjectMethodTable", "StringMethodTable"):
        tables.eeclass(runtime.global_value(name))


def check_token(runtime: Runtime) -> None:
    """Row of System.String's TypeDef, looked up in its module's map, gives System.String's MethodTable."""
    memory, layout = runtime.memory, runtime.layout
    tables = MethodTables(memory, layout)
    for name in ("ObjectMethodTable", "StringMethodTable"):
        table = runtime.global_value(name)
        row = tables.token_row(table)
        module = memory.pointer(runtime.global_value("ObjectMethodTable") + layout.offset("MethodTable", "Module"))
        found = LookupMaps(memory, layout).get(module + layout.offset("Module", "TypeDefToMethodTableMap"), row or 0)
        if found != table:
            raise LayoutError(f"self-check TypeDefToMethodTableMap: row {row} gives {found:#x}, not {name} {table:#x}")


def check_module(runtime: Runtime) -> None:
    """Module of System.Object: Module.Assembly's own module is that module."""
    memory, layout = runtime.memory, runtime.layout
    module = memory.pointer(runtime.global_value("ObjectMethodTable") + layout.offset("MethodTable", "Module"))
    assembly = memory.pointer(module + layout.offset("Module", "Assembly"))
    if memory.pointer(assembly + layout.offset("Assembly", "Module")) != module:
        raise LayoutError(f"self-check Module.Assembly: assembly {assembly:#x} of module {module:#x} has another module")


def check_fields(runtime: Runtime) -> None:
    """System.String declares two instance fields, whose FieldDescs name it and lie where the runtime has the length and first character."""
    memory, layout = runtime.memory, runtime.layout
    tables = MethodTables(memory, layout)
    string = runtime.global_value("StringMethodTable")
    eeclass = tables.eeclass(string)
    count, _ = tables.field_counts(eeclass)
    if count != 2:
        raise LayoutError(f"self-check EEClass field counts: System.String has {count} instance fields, not 2")
    offsets = set()
    for index in range(2):
        desc = tables.field_descs(eeclass) + index * layout.size("FieldDesc")
        owner = memory.pointer(desc + layout.offset("FieldDesc", "MethodTableOfEnclosingClass"))
        if owner != string:
            raise LayoutError(f"self-check FieldDesc: field {index} of System.String belongs to {owner:#x}")
        offset = memory.u32(desc + layout.offset("FieldDesc", "DWord2")) & ((1 << layout.constant("FieldDesc.ElementTypeShift")) - 1)
        offsets.add(offset + 8)
    known = {layout.offset("String", "m_StringLength"), layout.offset("String", "m_FirstChar")}
    if offsets != known:
        raise LayoutError(f"self-check FieldDesc: System.String's fields are at {sorted(offsets)}, not {sorted(known)}")


def check_statics(runtime: Runtime) -> None:
    """What holds the statics of System.String's type or module names its owner."""
    memory, layout = runtime.memory, runtime.layout
    string = runtime.global_value("StringMethodTable")
    if layout.contract("Statics") == "dynamic-statics-info":
        info = memory.pointer(string + layout.offset("MethodTable", "AuxiliaryData")) - layout.size("DynamicStaticsInfo")
        owner, expected = memory.pointer(info + layout.offset("DynamicStaticsInfo", "MethodTable")), string
        what = "DynamicStaticsInfo.MethodTable"
    else:
        module = memory.pointer(runtime.global_value("ObjectMethodTable") + layout.offset("MethodTable", "Module"))
        local = memory.pointer(module + layout.offset("Module", "ModuleID"))
        owner = memory.pointer(local + layout.offset("DomainLocalModule", "ModuleIndex"))
        expected = memory.pointer(module + layout.offset("Module", "ModuleIndex"))
        what = "DomainLocalModule.ModuleIndex"
    if owner != expected:
        raise LayoutError(f"self-check {what}: it is {owner:#x}, not {expected:#x}")


def check_thread_statics(runtime: Runtime) -> None:
    """A thread's block of thread statics names its thread (9.0 on), or its table has a plausible size."""
    memory, layout = runtime.memory, runtime.layout
    for thread in thread_addresses(memory, layout):
        if layout.contract("ThreadStatics") == "thread-local-data":
            data = memory.pointer(thread + layout.offset("Thread", "ThreadLocalDataPtr"))
            owner = memory.pointer(data + layout.offset("ThreadLocalData", "Thread")) if data else thread
            if owner != thread:
                raise LayoutError(f"self-check ThreadLocalData.Thread: the data of thread {thread:#x} names {owner:#x}")
        else:
            block = thread + layout.offset("Thread", "ThreadLocalBlock")
            table = memory.pointer(block + layout.offset("ThreadLocalBlock", "TLMTable"))
            size = memory.u64(block + layout.offset("ThreadLocalBlock", "TLMTableSize"))
            if bool(table) != bool(size) or size > MAXIMUM_LOCAL_MODULES:
                raise LayoutError(f"self-check ThreadLocalBlock: thread {thread:#x} has {size} modules at {table:#x}")


def check_threads(runtime: Runtime) -> None:
    """The list has as many threads as the store counts, the finalizer thread among them, and managed ids that differ."""
    memory, layout = runtime.memory, runtime.layout
    threads = read_threads(runtime)
    store = global_value(memory, layout, "ThreadStore")
    count = memory.u32(store + layout.offset("ThreadStore", "ThreadCount"))
    if len(threads) != count:
        raise LayoutError(f"self-check ThreadStore: {len(threads)} threads in the list, {count} counted")
    if not any(thread.finalizer for thread in threads):
        raise LayoutError("self-check FinalizerThread: it is not in the thread list")
    if len({thread.managed_id for thread in threads}) != count:
        raise LayoutError("self-check Thread.Id: two threads have one managed id")
    known = {registers.os_id for registers in runtime.core.threads}
    strangers = [thread.os_id for thread in threads if thread.os_id is not None and thread.os_id not in known]
    if known and len(strangers) > len(threads) // 2:
        raise LayoutError(f"self-check Thread.OSId: {len(strangers)} threads, as {strangers[0]}, are not among the core's threads")


def check_handles(runtime: Runtime) -> None:
    """Each segment of the handle table names its table, and there is at least one strong handle."""
    table = read_handle_table(runtime)
    if table.gaps:
        raise LayoutError(f"self-check HandleTable: {table.gaps[0].reason} at {table.gaps[0].address:#x}")
    if not table.of_kind("Strong").any():
        raise LayoutError("self-check HandleTable: there is no strong handle, and every process has some")


def check_finalizer_queue(runtime: Runtime) -> None:
    """The fill pointers of each heap's queue are in order."""
    queue = read_finalizer_queue(runtime, read_heap(runtime))
    if queue.gaps:
        raise LayoutError(f"self-check CFinalize: {queue.gaps[0].reason}")


def check_sync_blocks(runtime: Runtime) -> None:
    """The header of each object with a sync block has that block's index."""
    memory, layout = runtime.memory, runtime.layout
    in_use = layout.constant("ObjectHeader.HashOrSyncBlockIndex")
    for block in read_sync_blocks(runtime, read_threads(runtime)):
        header = memory.u32(block.object - 4)
        if not header & in_use or header & layout.constant("ObjectHeader.SyncBlockIndexMask") != block.index:
            raise LayoutError(f"self-check SyncTableEntry: object {block.object:#x} of block {block.index} has header {header:#x}")


def check_code(runtime: Runtime) -> None:
    """Ranges of managed code are not empty, and one is the ready-to-run image of the core library, if any is such an image."""
    memory, layout = runtime.memory, runtime.layout
    sections = code_ranges(runtime)
    if not sections or any(section.size_bytes <= 0 for section in sections):
        raise LayoutError(f"self-check RangeSection: {len(sections)} ranges of code, or an empty one among them")
    core_library = memory.pointer(runtime.global_value("ObjectMethodTable") + layout.offset("MethodTable", "Module"))
    images = {section.module for section in sections if section.module is not None}
    if images and core_library not in images:
        raise LayoutError("self-check RangeSection: none of the ready-to-run images is System.Private.CoreLib's")


CHECKS = [
    Check("heap walk", "objects", (("MethodTable", "MTFlags"), ("MethodTable", "ParentMethodTable")), check_objects),
    Check("heap walk", "segments", (("HeapSegment", "Mem"), ("GcDacVars", "GenerationTable")), check_segments),
    Check("types", "EEClass", (("MethodTable", "EEClassOrCanonMT"), ("EEClass", "MethodTable")), check_class),
    Check("types", "TypeDef", (("Module", "TypeDefToMethodTableMap"), ("ModuleLookupMap", "TableData")), check_token),
    Check("fields", "FieldDesc", (("EEClass", "FieldDescList"), ("FieldDesc", "DWord2")), check_fields),
    Check("modules", "Module.Assembly", (("Module", "Assembly"), ("Assembly", "Module")), check_module),
    Check("statics", "statics owner", (("DynamicStaticsInfo", "GCStatics"), ("DomainLocalModule", "GCStatics")), check_statics),
    Check(
        "thread statics",
        "thread statics owner",
        (("ThreadLocalData", "NonCollectibleTlsArrayData"), ("ThreadLocalBlock", "TLMTable")),
        check_thread_statics,
    ),
    Check("handles", "HandleTable", (("HandleTable", "SegmentList"), ("TableSegment", "BlockType")), check_handles),
    Check("finalizer queue", "CFinalize", (("CFinalize", "FillPointers"),), check_finalizer_queue),
    Check("threads", "ThreadStore", (("ThreadStore", "FirstThreadLink"), ("Thread", "LinkNext")), check_threads),
    Check("locks", "SyncTableEntry", (("SyncTableEntry", "SyncBlock"), ("SyncBlock", "Link")), check_sync_blocks),
    Check("code", "RangeSection", (("RangeSection", "RangeBegin"), ("RealCodeHeader", "MethodDesc")), check_code),
]


def read_abilities(runtime: Runtime) -> tuple[Ability, ...]:
    """Every ability with the outcome of its checks: available when all pass, else with the first one's sentence. Reads the dump; cheap."""
    outcome: dict[str, str | None] = {}
    for check in CHECKS:
        try:
            check.run(runtime)
        except HeaphoundError as error:
            outcome[check.ability] = outcome.get(check.ability) or f"{check.name}: {error}"
        else:
            outcome.setdefault(check.ability, None)
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
