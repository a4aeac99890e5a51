"""Self-checks on structure: what the dump holds twice must be the same both times, and what must lie somewhere does."""

from itertools import pairwise

import numpy as np

from heaphound.errors import Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.code_ranges import code_ranges
from heaphound.runtime.entry_checks import check_free_object, check_string
from heaphound.runtime.finalizer import read_finalizer_queue
from heaphound.runtime.heap import MAXIMUM_HEAPS, PAGE_BYTES
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.modules import array_list, read_path
from heaphound.runtime.sync_blocks import read_sync_blocks
from heaphound.runtime.threads import Thread, ThreadState

CORE_LIBRARY = "System.Private.CoreLib"
MZ = b"MZ"
LOWEST_IMAGE = 0x10000
MAXIMUM_LOCAL_MODULES = 1 << 20
MAXIMUM_MANAGED_ID = 1 << 24
POINTER_BYTES = 8
MORE_ROWS = 8  # the map has room for row 0 and one or two more than there are (Module::AllocateMaps, src/coreclr/vm/ceeload.cpp)
GC_STATES = (0, 1, 2)  # c_gc_state_marking, planning, free of src/coreclr/gc/gcpriv.h
FULLY_INITIALIZED = 0x20000  # TS_FullyInitialized of src/coreclr/vm/threads.h: set for every thread that runs
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


def check_statics(subject: CheckSubject) -> None:
    """What holds the statics of System.String's type or module names its owner."""
    string = subject.runtime.global_value("StringMethodTable")
    if subject.layout.contract("Statics") == "dynamic-statics-info":
        info = subject.pointer(string, "MethodTable", "AuxiliaryData") - subject.layout.size("DynamicStaticsInfo")
        owner = subject.pointer(info, "DynamicStaticsInfo", "MethodTable")
        expect(owner == string, f"DynamicStaticsInfo.MethodTable: it is {owner:#x}, not System.String {string:#x}")
    else:
        local = subject.pointer(subject.core_library, "Module", "ModuleID")
        owner = subject.pointer(local, "DomainLocalModule", "ModuleIndex")
        index = subject.pointer(subject.core_library, "Module", "ModuleIndex")
        expect(owner == index, f"DomainLocalModule.ModuleIndex: it is {owner}, its module has {index}")


def check_thread_statics(subject: CheckSubject) -> None:
    """A thread's block of thread statics names its thread (9.0 on), or its table has a plausible size."""
    memory, layout = subject.memory, subject.layout
    for thread in subject.threads:
        if layout.contract("ThreadStatics") == "thread-local-data":
            data = subject.pointer(thread.address, "Thread", "ThreadLocalDataPtr")
            owner = subject.pointer(data, "ThreadLocalData", "Thread") if data else thread.address
            expect(owner == thread.address, f"ThreadLocalData.Thread: the data of thread {thread.address:#x} names {owner:#x}")
        else:
            block = thread.address + layout.offset("Thread", "ThreadLocalBlock")
            table = subject.pointer(block, "ThreadLocalBlock", "TLMTable")
            size = memory.u64(block + layout.offset("ThreadLocalBlock", "TLMTableSize"))
            plausible = bool(table) == bool(size) and size <= MAXIMUM_LOCAL_MODULES
            expect(plausible, f"ThreadLocalBlock: thread {thread.address:#x} has {size} modules at {table:#x}")


def check_threads(subject: CheckSubject) -> None:
    """The list has as many threads of each kind as the store counts, one of them the finalizer's; each looks like a thread."""
    threads = subject.threads
    store = subject.runtime.global_value("ThreadStore")
    counts = {
        "ThreadCount": len(threads),
        "UnstartedCount": sum(bool(thread.state_bits & ThreadState.UNSTARTED) for thread in threads),
        "DeadCount": sum(bool(thread.state_bits & ThreadState.DEAD) for thread in threads),
        "BackgroundCount": sum(thread.background and thread.alive for thread in threads),
    }
    for name, found in counts.items():
        counted = subject.memory.u32(store + subject.layout.offset("ThreadStore", name))
        expect(found == counted, f"ThreadStore.{name}: {found} such threads in the list, {counted} counted")
    expect(any(thread.finalizer for thread in threads), "FinalizerThread: it is not in the thread list")
    expect(len({thread.managed_id for thread in threads}) == len(threads), "Thread.Id: two threads have one managed id")
    if all(thread.managed_object is None for thread in threads):
        subject.not_exercised("Thread.GCHandle")  # a program that never asked for its threads has no objects of them
    for thread in threads:
        _check_thread(subject, thread)
    known = {registers.os_id for registers in subject.runtime.core.threads}
    alive = [thread for thread in threads if thread.alive]
    nameless = sum(thread.os_id is None for thread in alive)
    expect(2 * nameless <= len(alive), f"Thread.OSId: {nameless} of {len(alive)} threads that run have none")
    strangers = [thread.os_id for thread in threads if thread.os_id is not None and thread.os_id not in known]
    many = known and len(strangers) > len(threads) // 2
    expect(not many, f"Thread.OSId: {len(strangers)} threads are not among the core's {len(known)}")


def _check_thread(subject: CheckSubject, thread: Thread) -> None:
    memory, layout = subject.memory, subject.layout
    who = f"of thread {thread.managed_id} at {thread.address:#x}"
    expect(1 <= thread.managed_id <= MAXIMUM_MANAGED_ID, f"Thread.Id: {who}")
    running = bool(thread.state_bits & FULLY_INITIALIZED)
    expect(running or not thread.alive, f"Thread.State: {thread.state_bits:#x} {who}, which runs")
    mode = memory.u32(thread.address + layout.offset("Thread", "PreemptiveGCDisabled"))
    expect(mode in (0, 1), f"Thread.PreemptiveGCDisabled: {mode} {who}")
    aligned = thread.frame is None or (thread.frame % POINTER_BYTES == 0 and memory.readable(thread.frame, POINTER_BYTES))
    expect(aligned, f"Thread.Frame: {thread.frame or 0:#x} {who} is no frame")
    if thread.managed_object is not None:
        found = memory.pointer(thread.managed_object) & ~layout.constant("ObjectToMethodTableUnmask")
        table = subject.runtime.global_value("ThreadMethodTable")
        expect(found == table, f"Thread.GCHandle: the object {who} has MethodTable {found:#x}, not Thread's")
    for thrown in (thread.exception, *thread.nested_exceptions):
        expect(thrown is None or subject.heap.segment_of(thrown) is not None, f"Thread.LastThrownObject: {thrown or 0:#x} {who}")


def check_finalizer_queue(subject: CheckSubject) -> None:
    """The fill pointers of each heap's queue are in order, and what it holds lies in the heap."""
    queue = read_finalizer_queue(subject.runtime, subject.heap)
    expect(not queue.gaps, f"CFinalize: {queue.gaps[0].reason}" if queue.gaps else "")
    if subject.small and subject.heap.gaps:
        subject.not_exercised("CFinalize")  # the list of segments breaks off
        return
    starts, ends = (np.array(bounds, np.uint64) for bounds in zip(*subject.heap.object_ranges() or [(0, 0)], strict=True))
    for part in (queue.ready, queue.waiting):
        segment = np.minimum(np.searchsorted(ends, part.objects, side="right"), len(ends) - 1)
        outside = np.flatnonzero((part.objects < starts[segment]) | (part.objects >= ends[segment])).tolist()
        where = f"{int(part.objects[outside[0]]):#x} at {int(part.slots[outside[0]]):#x}" if outside else ""
        expect(not outside, f"CFinalize: {where} is no object of the heap")


def check_sync_blocks(subject: CheckSubject) -> None:
    """The header of each object with a sync block has that block's index; owners and waiters are threads; who is locked has an owner."""
    memory, layout = subject.memory, subject.layout
    in_use = layout.constant("ObjectHeader.HashOrSyncBlockIndex")
    threads = {thread.address for thread in subject.threads}
    held, doubtful, waited = 0, 0, False
    blocks = read_sync_blocks(subject.runtime, subject.threads)
    _check_distances(subject, sorted(block.address for block in blocks))
    for block in blocks:
        header = memory.u32(block.object - 4)
        same = bool(header & in_use) and header & layout.constant("ObjectHeader.SyncBlockIndexMask") == block.index
        expect(same, f"SyncTableEntry: object {block.object:#x} of block {block.index} has header {header:#x}")
        expect(not block.held or block.owner in threads, f"AwareLock: the owner of block {block.index} is no thread")
        expect(not block.held or 1 <= block.recursion < 1 << 20, f"AwareLock.Recursion: {block.recursion} in block {block.index}")
        expect(threads.issuperset(block.waiting), f"SyncBlock.Link: what waits at block {block.index} is no thread")
        expect(block.entering <= len(threads), f"AwareLock.LockState: {block.entering} threads wait for block {block.index}")
        named = _named_owner(subject, block.address)
        held += block.held or named
        doubtful += block.held != named
        waited = waited or bool(block.waiting)
    if not held:
        subject.not_exercised("AwareLock")
    if not waited:
        subject.not_exercised("WaitEventLink")
    expect(2 * doubtful <= held, f"AwareLock.LockState: {doubtful} of {held} monitors with an owner are not locked, or the other way round")


def _check_distances(subject: CheckSubject, addresses: list[int]) -> None:
    """Sync blocks are made many at a time, one behind the other (SyncBlockArray, syncblk.h): the nearest two tell how large each is."""
    size = subject.layout.size("SyncBlock")
    nearest = min((following - block for block, following in pairwise(addresses)), default=None)
    if nearest is None or nearest >= 2 * size:
        subject.not_exercised("size of SyncBlock")
    else:
        expect(nearest == size, f"size of SyncBlock: {size}, and two lie {nearest} bytes apart")


def _named_owner(subject: CheckSubject, block: int) -> bool:
    """Whether a monitor names an owner, locked or not; it is cleared when the owner leaves (AwareLock::LeaveHelper, syncblk.inl)."""
    monitor = block + subject.layout.offset("SyncBlock", "Monitor")
    if subject.layout.has("AwareLock", "HoldingThreadId"):
        return subject.memory.u32(monitor + subject.layout.offset("AwareLock", "HoldingThreadId")) != 0
    return subject.pointer(monitor, "AwareLock", "HoldingThread") != 0


def check_code_ranges(subject: CheckSubject) -> None:
    """Ranges of managed code are not empty, and one is the ready-to-run image of the core library, if any is such an image."""
    ranges = code_ranges(subject.runtime)
    sections = ranges.sections
    empty = [section for section in sections if section.size_bytes <= 0]
    expect(bool(sections or ranges.gaps) and not empty, f"RangeSection: {len(empty)} of {len(sections)} ranges of code are empty")
    images = {section.module for section in sections if section.module is not None}
    expect(
        bool(ranges.gaps) or not images or subject.core_library in images, "RangeSection: no ready-to-run image is System.Private.CoreLib's"
    )
