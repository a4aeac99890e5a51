"""Self-checks on the structure of heap, types and modules: what is there twice is the same twice, what must lie somewhere does."""

from heaphound.errors import Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.entry_checks import check_free_object, check_string
from heaphound.runtime.heap import MAXIMUM_HEAPS, PAGE_BYTES
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.modules import array_list, read_path

CORE_LIBRARY = "System.Private.CoreLib"
MZ = b"MZ"
LOWEST_IMAGE = 0x10000
POINTER_BYTES = 8
MORE_ROWS = 8  # the map has room for row 0 and one or two more than there are (Module::AllocateMaps, src/coreclr/vm/ceeload.cpp)
GC_STATES = (0, 1, 2)  # c_gc_state_marking, planning, free of src/coreclr/gc/gcpriv.h
KNOWN_SEGMENT_FLAGS = (1 << 20) - 1  # heap_segment_flags_* of src/coreclr/gc/gcpriv.h; nine bits in use


def check_objects(subject: CheckSubject) -> None:
    """The MethodTables of the free object, System.String and System.Object."""
    check_free_object(subject.memory, subject.layout)
    check_string(subject.memory, subject.layout)


def check_segments(subject: CheckSubject) -> None:
    """Segment lists end, bounds are in order and on pages, allocation contexts lie in a segment, and there are objects."""
    heap = subject.heap
    expect(not heap.gaps, f"heap_segment: {heap.gaps[0].reason} at {heap.gaps[0].address:#x}" if heap.gaps else "")
    expect(bool(heap.object_ranges()), "heap_segment: there is no object in the whole heap")
    for segment in heap.segments:
        on_pages = segment.committed_end % PAGE_BYTES == 0 and segment.reserved_end % PAGE_BYTES == 0
        expect(on_pages, f"heap_segment: {segment.address:#x} is committed to {segment.committed_end:#x}, which is no page")
        expect(segment.flags & ~KNOWN_SEGMENT_FLAGS == 0, f"heap_segment.Flags: {segment.flags:#x} at {segment.address:#x}")
    _check_bounds(subject)
    if heap.collecting:
        subject.not_exercised("GCAllocContext")  # a collection takes the contexts back and moves the ends of segments
        return
    for start, end in heap.allocation_contexts:
        around = heap.segment_of(start)
        inside = around is not None and end <= around.committed_end
        expect(inside, f"GCAllocContext: {start:#x} to {end:#x} lies in no segment")


def _check_bounds(subject: CheckSubject) -> None:
    """Regions of one kind have one size; most memory that is said to be committed is there, to its last page."""
    heap, memory = subject.heap, subject.memory
    own = [segment for segment in heap.segments if segment.kind != "Frozen"]
    if heap.regions:
        sizes = {segment.reserved_end - segment.committed_start for segment in own if segment.kind.startswith("Generation")}
        expect(len(sizes) <= 1, f"heap_segment.Reserved: regions of one kind have {sorted(sizes)[:4]} bytes")
    begun = [segment for segment in own if memory.readable(segment.start, POINTER_BYTES)]
    lacking = [segment for segment in begun if not memory.readable(segment.committed_end - POINTER_BYTES, POINTER_BYTES)]
    some = f" {lacking[0].committed_end:#x} of {lacking[0].address:#x}" if lacking else ""
    most = 2 * len(begun) >= len(own)  # a small dump has pages of the heap here and there
    expect(
        not most or 2 * len(lacking) <= len(begun), f"heap_segment.Committed: the dump has no memory before{some} and {len(lacking)} in all"
    )


def check_gc_state(subject: CheckSubject) -> None:
    """What the GC says of itself is one of the few things that it can say."""
    for name, allowed in (("CurrentGCState", GC_STATES), ("StructuresInvalidCount", range(MAXIMUM_HEAPS + 1))):
        try:
            variable = subject.runtime.gc.variable(subject.memory, subject.layout, name)
            found = subject.memory.i32(variable) if variable else None
        except Unreadable:
            continue  # then the answer is "not known" too
        expect(found is None or found in allowed, f"GcDacVars.{name}: {found}")


def check_walk(subject: CheckSubject) -> None:
    """The smallest segments of each kind are objects from the first to the last byte; while a collection rewrites them, mostly."""
    walked = subject.sample
    if subject.heap.collecting:
        half = sum(end - start for start, end in subject.sample_ranges) // 2
        expect(walked.walked_bytes >= half, f"heap walk: {walked.walked_bytes} of {2 * half} bytes are objects")
        return
    unloaded = [gap for gap in walked.gaps if _of_unloaded_types(subject, *gap)]
    for start, end, reason in walked.gaps:
        expect((start, end, reason) in unloaded, f"heap walk: {start:#x} to {end:#x}: {reason}")
    total = sum(end - start for start, end in subject.sample_ranges) - sum(end - start for start, end, _ in unloaded)
    expect(walked.walked_bytes + walked.hole_bytes == total, f"heap walk: {walked.walked_bytes} of {total} bytes are objects")


def _of_unloaded_types(subject: CheckSubject, start: int, end: int, reason: str) -> bool:
    """Whether a gap in the walk is of objects in the frozen heap whose type is gone: a small part of a segment that is walked else.

    8.0 puts empty arrays of types that can be unloaded there, and never takes them away: TryAllocateFrozenSzArray of
    src/coreclr/vm/gchelpers.cpp does not ask whether the type is collectible. In dumps of 9.0 and 10.0 there are none.
    """
    segment = subject.heap.segment_of(start)
    inside = segment is not None and segment.kind == "Frozen" and segment.start < start and 2 * (end - start) < segment.size_bytes
    return inside and reason.startswith("no MethodTable at")


def check_class(subject: CheckSubject) -> None:
    """EEClass.MethodTable leads back, for System.Object and System.String."""
    tables = MethodTables(subject.memory, subject.layout)
    for name in ("ObjectMethodTable", "StringMethodTable"):
        tables.eeclass(subject.runtime.global_value(name))


def check_token(subject: CheckSubject) -> None:
    """Row of System.String's TypeDef, looked up in its module's map, gives System.String's MethodTable."""
    memory, layout = subject.memory, subject.layout
    tables, maps = MethodTables(memory, layout), LookupMaps(memory, layout)
    rows, library = 0, subject.types.module_at(subject.core_library)
    if library is not None and library.metadata is not None:
        rows = library.metadata.tables.count(Table.TYPE_DEF)
    room = maps.entry_count(subject.core_library + layout.offset("Module", "TypeDefToMethodTableMap"))
    expect(not rows or rows < room <= rows + MORE_ROWS, f"ModuleLookupMap.Count: room for {room} types, metadata has {rows}")
    for name in ("ObjectMethodTable", "StringMethodTable"):
        table = subject.runtime.global_value(name)
        row = tables.token_row(table)
        found = maps.get(subject.core_library + layout.offset("Module", "TypeDefToMethodTableMap"), row or 0)
        expect(found == table, f"TypeDefToMethodTableMap: row {row} gives {found:#x}, not {name} {table:#x}")


def check_fields(subject: CheckSubject) -> None:
    """System.String declares two instance fields, whose FieldDescs name it and lie where the runtime has the length and first character."""
    memory, layout = subject.memory, subject.layout
    tables = MethodTables(memory, layout)
    string = subject.runtime.global_value("StringMethodTable")
    eeclass = tables.eeclass(string)
    count, _ = tables.field_counts(eeclass)
    expect(count == 2, f"EEClass field counts: System.String has {count} instance fields, not 2")
    offsets = set()
    for index in range(2):
        desc = tables.field_descs(eeclass) + index * layout.size("FieldDesc")
        owner = subject.pointer(desc, "FieldDesc", "MethodTableOfEnclosingClass")
        expect(owner == string, f"FieldDesc: field {index} of System.String belongs to {owner:#x}")
        word = memory.u32(desc + layout.offset("FieldDesc", "DWord2"))
        offsets.add((word & ((1 << layout.constant("FieldDesc.ElementTypeShift")) - 1)) + 8)
    known = {layout.offset("String", "m_StringLength"), layout.offset("String", "m_FirstChar")}
    expect(offsets == known, f"FieldDesc: System.String's fields are at {sorted(offsets)}, not {sorted(known)}")


def check_assembly(subject: CheckSubject) -> None:
    """The core library's assembly leads back to its module."""
    assembly = subject.pointer(subject.core_library, "Module", "Assembly")
    module = subject.pointer(assembly, "Assembly", "Module")
    expect(module == subject.core_library, f"Module.Assembly: assembly {assembly:#x} has module {module:#x}, not {subject.core_library:#x}")


def check_assembly_list(subject: CheckSubject) -> None:
    """The core library's assembly is in the list of all."""
    start = subject.runtime.global_value("AppDomain") + subject.layout.offset("AppDomain", "DomainAssemblyList")
    own = subject.pointer(subject.core_library, "Module", "Assembly")
    listed = (entry for entry in array_list(subject.memory, subject.layout, start) if entry)
    found = any(subject.pointer(entry, "DomainAssembly", "Assembly") == own for entry in listed)
    expect(found, f"AppDomain.DomainAssemblyList: the assembly of System.Object {own:#x} is not in the list of assemblies")


def check_file(subject: CheckSubject) -> None:
    """The core library's image has its name; it may have none in a single-file program, where images have no files of their own."""
    path = read_path(subject.memory, subject.layout, _core_image(subject))
    right = subject.runtime.single_file if path is None else path.endswith(f"{CORE_LIBRARY}.dll")
    expect(right, f"PEImage.Path: the image of System.Object is {path}")


def check_image(subject: CheckSubject) -> None:
    """A file that is mapped begins on a page (but for those inside of a single file), as PE files do where the dump has that page."""
    memory, layout, image = subject.memory, subject.layout, _core_image(subject)
    fields = ("LoadedImageLayout", "MappedImageLayout", "FlatImageLayout")
    places = [subject.pointer(image, "PEImage", name) for name in fields if layout.has("PEImage", name)]
    bases = [subject.pointer(place, "PEImageLayout", "Base") for place in places if place]
    expect(any(bases), f"PEImage: the image of the core library {image:#x} has no layout")
    for base in bases:
        on_page = subject.runtime.single_file or (base >= LOWEST_IMAGE and base % PAGE_BYTES == 0)
        wrong = memory.readable(base, len(MZ)) and memory.bytes(base, len(MZ)) != MZ
        expect(on_page and not wrong, f"PEImageLayout.Base: there is no image at {base:#x}")


def _core_image(subject: CheckSubject) -> int:
    return subject.pointer(subject.pointer(subject.core_library, "Module", "PEAssembly"), "PEAssembly", "PEImage")


def check_modules(subject: CheckSubject) -> None:
    """No module is unreadable, and the core library has its name."""
    gaps = subject.modules.gaps
    expect(not gaps, f"modules: {gaps[0].reason} at {gaps[0].address:#x}" if gaps else "")
    (library,) = (module for module in subject.modules.modules if module.address == subject.core_library)
    expect(library.name == CORE_LIBRARY, f"Module.Path: the module of System.Object is called {library.name}")
