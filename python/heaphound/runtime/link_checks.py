"""Self-checks on links: tables that the runtime counts itself, heaps in which known structures lie, methods that name their type."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.loaded_types import LoadedTypes
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.modules import Module

if TYPE_CHECKING:
    from heaphound.runtime.loader_heaps import LoaderHeap

SAMPLE_MODULES = 4
SAMPLE_TYPES = 200
SAMPLE_TYPE_DESCS = 50
LARGEST_CLASS_CHUNKS = 64
POINTER_BYTES = 8


def check_instantiations(subject: CheckSubject) -> None:
    """The hash tables of instantiations have as many entries as they count, and what they hold are types, named as their kind is."""
    entries, kinds = 0, set[int]()
    for module, handles, counted in _instantiation_tables(subject):
        expect(len(handles) == counted, f"EETypeHashTable: {len(handles)} entries of {module.name}, {counted} counted")
        entries += counted
        for handle in _sample(subject, handles):
            resolved = subject.types.resolve_handle(handle)
            expect(bool(resolved.name), f"EETypeHashTable: the type {handle:#x} of {module.name} has no name")
            kinds.add(resolved.element_type)
            if resolved.type is not None and not resolved.type.is_array and not resolved.type.name_problem:
                promised = resolved.name.startswith("System.Nullable<")
                flags = f"{resolved.name} has flags {resolved.type.flags:#x}"
                expect(resolved.type.is_nullable == promised, f"MethodTableFlags.CategoryNullable: {flags}")
    expect(entries > 0, "EETypeHashTable: no module has an instantiation")
    for kind, what in ((ElementType.POINTER, "ParamTypeDesc.TypeArg"), (ElementType.FUNCTION_POINTER, "FnPtrTypeDesc")):
        if kind not in kinds:
            subject.not_exercised(what)


def sampled_instantiations(subject: CheckSubject) -> Iterator[int]:
    """TypeHandles of some instantiations of the core library and of a few other modules; those without a MethodTable first."""
    for _, handles, _ in _instantiation_tables(subject):
        yield from _sample(subject, handles)


def _sample(subject: CheckSubject, handles: list[int]) -> list[int]:
    bit = subject.layout.constant("TypeHandle.TypeDescBit")
    return [handle for handle in handles if handle & bit][:SAMPLE_TYPE_DESCS] + [handle for handle in handles if not handle & bit][
        :SAMPLE_TYPES
    ]


def _instantiation_tables(subject: CheckSubject) -> Iterator[tuple[Module, list[int], int]]:
    """(module, TypeHandles in its table, how many the table counts) of a few modules."""
    loaded = LoadedTypes(subject.memory, subject.layout, LookupMaps(subject.memory, subject.layout))
    for module in _with_instantiations(subject):
        table = subject.pointer(module.address, "Module", "AvailableTypeParams")
        counted = subject.memory.u32(table + subject.layout.offset("EETypeHashTable", "Count"))
        yield module, list(loaded.handles(table, module.address)), counted


def _with_instantiations(subject: CheckSubject) -> list[Module]:
    """The core library and a few others that have such a table."""
    if not subject.layout.has("Module", "AvailableTypeParams"):
        return []
    found = [module for module in subject.modules.modules if subject.pointer(module.address, "Module", "AvailableTypeParams")]
    found.sort(key=lambda module: module.address != subject.core_library)
    return found[:SAMPLE_MODULES]


def check_loader_heaps(subject: CheckSubject) -> None:
    """The heaps of the core library's loader are told apart, do not overlap, and hold what belongs there: MethodTables and EEClasses."""
    from heaphound.runtime.loader_heaps import read_loader_heaps

    found = read_loader_heaps(subject.runtime, subject.modules.modules)
    expect(not found.gaps, f"LoaderHeap: {found.gaps[0].reason}" if found.gaps else "")
    expect(bool(found.heaps), "LoaderAllocator: no module has one")
    table = subject.runtime.global_value("ObjectMethodTable")
    eeclass = MethodTables(subject.memory, subject.layout).eeclass(table)
    own = [heap for heap in found.heaps if not heap.collectible]
    for kind, what, address in (("HighFrequencyHeap", "MethodTable", table), ("LowFrequencyHeap", "EEClass", eeclass)):
        holds = any(heap.kind == kind and _holds(heap, address) for heap in own)
        expect(holds, f"LoaderHeap: the {what} of System.Object {address:#x} does not lie in the {kind}")
    if subject.layout.has("LoaderAllocator", "VirtualCallStubManager"):
        allocator = next(heap.allocator for heap in own if heap.kind == "HighFrequencyHeap" and _holds(heap, table))
        # made with the allocator (LoaderAllocator::InitVirtualCallStubManager)
        manager = subject.pointer(allocator, "LoaderAllocator", "VirtualCallStubManager")
        expect(manager != 0, f"LoaderAllocator.VirtualCallStubManager: that at {allocator:#x} has none")
    blocks = sorted(block for heap in found.heaps for block in heap.blocks)
    for (_, end), (start, _) in pairwise(blocks):
        expect(end <= start, f"LoaderHeap: two blocks overlap at {start:#x}")


def _holds(heap: "LoaderHeap", address: int) -> bool:
    return any(start <= address < end for start, end in heap.blocks)


def check_bookkeeping(subject: CheckSubject) -> None:
    """The GC's tables say that they are about the heap.

    Before 8.0 they are found by just that, in a search of the whole dump: here only for a layout that no build has confirmed.
    """
    from heaphound.runtime.gc_memory import read_bookkeeping

    if not subject.layout.has("GcDacVars", "BookkeepingStart") and not subject.runtime.layout_status:
        return
    tables = read_bookkeeping(subject.runtime, subject.heap)
    expect(bool(tables), "CardTableInfo: the GC has no tables in use")
    for segment in subject.heap.segments:
        inside = segment.kind == "Frozen" or any(table.lowest <= segment.start < table.highest for table in tables)
        expect(inside, f"CardTableInfo: no table of the GC is about the segment at {segment.start:#x}")


def check_chunks(subject: CheckSubject) -> None:
    """The chunks of System.Object's methods lead back to it, their methods have its name, and are as many as metadata has."""
    from heaphound.runtime.methods import Methods

    layout, memory = subject.layout, subject.memory
    table = subject.runtime.global_value("ObjectMethodTable")
    chunk = subject.pointer(MethodTables(memory, layout).eeclass(table), "EEClass", "MethodDescChunk")
    methods, names, counted = Methods(subject.types), set[str](), 0
    to_descs = subject.core_library + layout.offset("Module", "MethodDefToDescMap")
    for _ in range(LARGEST_CLASS_CHUNKS):
        owner = subject.pointer(chunk, "MethodDescChunk", "MethodTable")
        expect(owner == table, f"MethodDescChunk: the chunk {chunk:#x} of System.Object belongs to {owner:#x}")
        desc = chunk + layout.size("MethodDescChunk")
        found = methods.method(desc)
        expect(found.declaring_type == "System.Object", f"MethodDesc: {desc:#x} of System.Object is {found.full_name}")
        names.add(found.name)
        counted += memory.u8(chunk + layout.offset("MethodDescChunk", "Count")) + 1
        mapped = subject.types.maps.get(to_descs, found.rid)
        expect(mapped == desc, f"Module.MethodDefToDescMap: row {found.rid} gives {mapped:#x}, not {found.full_name} {desc:#x}")
        following = subject.pointer(chunk, "MethodDescChunk", "Next")
        if not following:
            break
        chunk = following
    own = _methods_in_metadata(subject, table)
    expect(own is None or own == counted, f"MethodDescChunk.Count: System.Object has {counted} methods, {own} in metadata")
    virtuals = memory.u16(table + layout.offset("MethodTable", "NumVirtuals"))
    expect(0 < virtuals < LARGEST_CLASS_CHUNKS and bool(names), f"MethodTable.NumVirtuals: System.Object has {virtuals} virtual methods")


def _methods_in_metadata(subject: CheckSubject, table: int) -> int | None:
    found = subject.types.type(table)
    return None if found.module is None or found.module.metadata is None else len(found.module.metadata.typedef(found.row or 0).methods)
