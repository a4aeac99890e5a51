"""Self-checks on links: tables that the runtime counts itself, heaps in which known structures lie, methods that name their type."""

from itertools import pairwise

from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.gc_memory import read_bookkeeping
from heaphound.runtime.loaded_types import LoadedTypes
from heaphound.runtime.loader_heaps import LoaderHeap, read_loader_heaps
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.methods import Methods
from heaphound.runtime.modules import Module

SAMPLE_MODULES = 4
SAMPLE_TYPES = 200
LARGEST_CLASS_CHUNKS = 64
POINTER_BYTES = 8


def check_instantiations(subject: CheckSubject) -> None:
    """The hash tables of instantiations have as many entries as they count, and what they hold are types."""
    loaded = LoadedTypes(subject.memory, subject.layout, LookupMaps(subject.memory, subject.layout))
    entries = 0
    for module in _with_instantiations(subject):
        table = subject.pointer(module.address, "Module", "AvailableTypeParams")
        handles = list(loaded.handles(table, module.address))
        counted = subject.memory.u32(table + subject.layout.offset("EETypeHashTable", "Count"))
        expect(len(handles) == counted, f"EETypeHashTable: {len(handles)} entries of {module.name}, {counted} counted")
        entries += counted
        for handle in handles[:SAMPLE_TYPES]:
            expect(bool(subject.types.resolve_handle(handle).name), f"EETypeHashTable: the type {handle:#x} of {module.name} has no name")
    expect(entries > 0, "EETypeHashTable: no module has an instantiation")


def _with_instantiations(subject: CheckSubject) -> list[Module]:
    """The core library and a few others that have such a table."""
    if not subject.layout.has("Module", "AvailableTypeParams"):
        return []
    found = [module for module in subject.modules.modules if subject.pointer(module.address, "Module", "AvailableTypeParams")]
    found.sort(key=lambda module: module.address != subject.core_library)
    return found[:SAMPLE_MODULES]


def check_loader_heaps(subject: CheckSubject) -> None:
    """The heaps of the core library's loader are told apart, do not overlap, and hold what belongs there: MethodTables and EEClasses."""
    found = read_loader_heaps(subject.runtime, subject.modules.modules)
    expect(not found.gaps, f"LoaderHeap: {found.gaps[0].reason}" if found.gaps else "")
    table = subject.runtime.global_value("ObjectMethodTable")
    eeclass = MethodTables(subject.memory, subject.layout).eeclass(table)
    own = [heap for heap in found.heaps if not heap.collectible]
    for kind, what, address in (("HighFrequencyHeap", "MethodTable", table), ("LowFrequencyHeap", "EEClass", eeclass)):
        holds = any(heap.kind == kind and _holds(heap, address) for heap in own)
        expect(holds, f"LoaderHeap: the {what} of System.Object {address:#x} does not lie in the {kind}")
    blocks = sorted(block for heap in found.heaps for block in heap.blocks)
    for (_, end), (start, _) in pairwise(blocks):
        expect(end <= start, f"LoaderHeap: two blocks overlap at {start:#x}")


def _holds(heap: LoaderHeap, address: int) -> bool:
    return any(start <= address < end for start, end in heap.blocks)


def check_bookkeeping(subject: CheckSubject) -> None:
    """The GC's tables say that they are about the heap. Before 8.0 they are found by just that, in a search of the whole dump: not here."""
    if not subject.layout.has("GcDacVars", "BookkeepingStart"):
        return
    tables = read_bookkeeping(subject.runtime, subject.heap)
    expect(bool(tables), "CardTableInfo: the GC has no tables in use")
    for segment in subject.heap.segments:
        inside = segment.kind == "Frozen" or any(table.lowest <= segment.start < table.highest for table in tables)
        expect(inside, f"CardTableInfo: no table of the GC is about the segment at {segment.start:#x}")


def check_chunks(subject: CheckSubject) -> None:
    """The chunks of System.Object's methods lead back to it, their methods have its name, and each its own slot."""
    layout, memory = subject.layout, subject.memory
    table = subject.runtime.global_value("ObjectMethodTable")
    chunk = subject.pointer(MethodTables(memory, layout).eeclass(table), "EEClass", "MethodDescChunk")
    methods, slots, names = Methods(subject.types), list[int](), set[str]()
    for _ in range(LARGEST_CLASS_CHUNKS):
        owner = subject.pointer(chunk, "MethodDescChunk", "MethodTable")
        expect(owner == table, f"MethodDescChunk: the chunk {chunk:#x} of System.Object belongs to {owner:#x}")
        desc = chunk + layout.size("MethodDescChunk")
        found = methods.method(desc)
        expect(found.declaring_type == "System.Object", f"MethodDesc: {desc:#x} of System.Object is {found.full_name}")
        slots.append(memory.u16(desc + layout.offset("MethodDesc", "Slot")))
        names.add(found.name)
        following = subject.pointer(chunk, "MethodDescChunk", "Next")
        if not following:
            break
        chunk = following
    expect(len(set(slots)) == len(slots), f"MethodDesc.Slot: two chunks of System.Object begin at one slot: {slots}")
    virtuals = memory.u16(table + layout.offset("MethodTable", "NumVirtuals"))
    expect(0 < virtuals < LARGEST_CLASS_CHUNKS and bool(names), f"MethodTable.NumVirtuals: System.Object has {virtuals} virtual methods")
