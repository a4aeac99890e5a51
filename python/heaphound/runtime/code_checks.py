"""Self-checks on code: what stands for a method must lead to it, and Frames must be of known classes."""

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.code_ranges import CodeSection
from heaphound.runtime.prepared_code import PreparedCode
from heaphound.runtime.ready_to_run import ReadyToRunImage
from heaphound.runtime.stacks.frame_types import WITHOUT_REGISTERS, frame_types
from heaphound.runtime.threads import NO_FRAME

SAMPLE_METHODS = 8
SAMPLE_FRAMES = 24
SAMPLE_THREADS = 256  # a process that leaks threads has tens of thousands
POINTER_BYTES = 8
FUNCTION_FRAME_BYTES = (
    4096  # two Frames of one native function lie in any order (RuntimeMethodHandle::InvokeMethod, reflectioninvocation.cpp)
)
SLOTS_PER_CHUNK = 8  # MethodTable::VTableIndir_t of src/coreclr/vm/methodtable.h: a table of virtual methods comes in chunks of eight


def check_virtual_methods(subject: CheckSubject) -> None:
    """The slots of System.Object's virtual methods lead to methods of System.Object, through whatever stub stands there."""
    memory, layout = subject.memory, subject.layout
    table = subject.runtime.global_value("ObjectMethodTable")
    count = min(memory.u16(table + layout.offset("MethodTable", "NumVirtuals")), SLOTS_PER_CHUNK)
    expect(count > 0, "MethodTable.NumVirtuals: System.Object has no virtual method")
    for number, slot in enumerate(memory.words(memory.pointer(table + layout.size("MethodTable")), count)):
        location = subject.code.locate(slot)
        owner = None if location is None or location.method is None else location.method.declaring_type
        unknown = subject.code.ranges.gaps[:1] if location is None else (location.problem,)
        found = owner or ": ".join(["no type", *(reason for reason in unknown if reason)])
        expect(owner == "System.Object", f"MethodTable: a virtual method of System.Object at {slot:#x} is one of {found}")
        if subject.types.core_library.metadata is not None and location is not None and location.method is not None:
            declared = subject.code.methods.in_slot(table, number)
            expect(
                declared == location.method.method_desc, f"MethodDesc.Slot: slot {number} of System.Object is {location.method.full_name}"
            )


def check_image_functions(subject: CheckSubject) -> None:
    """What the runtime keeps of the core library's image names its module and has the table of functions that the image itself names."""
    section = next((part for part in subject.code.sections if part.module == subject.core_library and part.kind == "ready-to-run"), None)
    if section is None:
        return
    memory, layout = subject.memory, subject.layout
    info = subject.pointer(subject.core_library, "Module", "ReadyToRunInfo")
    owner = subject.pointer(info, "ReadyToRunInfo", "Module")
    expect(owner == subject.core_library, f"ReadyToRunInfo.Module: it is {owner:#x}, not {subject.core_library:#x}")
    composite = subject.pointer(info, "ReadyToRunInfo", "CompositeInfo") if layout.has("ReadyToRunInfo", "CompositeInfo") else info
    start = subject.pointer(composite, "ReadyToRunInfo", "RuntimeFunctions")
    count = memory.u32(composite + layout.offset("ReadyToRunInfo", "NumRuntimeFunctions"))
    inside = section.start <= start and count > 0 and start + count * layout.size("RuntimeFunction") <= section.end
    expect(inside, f"ReadyToRunInfo.RuntimeFunctions: {count} at {start:#x} do not lie in the image at {section.start:#x}")
    image = subject.types.core_library.pe
    try:
        compiled = None if image is None else ReadyToRunImage(image)
    except (Malformed, Unreadable):
        return  # the dump lacks the image's headers
    if compiled is not None:
        own, wanted = layout.constant("GCInfoVersion"), compiled.gc_info_version
        expect(own == wanted, f"GCInfoVersion: {own}, while the core library is compiled with version {wanted}")
    named = (start, count) if composite != info or compiled is None else compiled.function_table
    expect(named == (start, count), f"ReadyToRunInfo.RuntimeFunctions: {count} at {start:#x}, the image has {named[1]} at {named[0]:#x}")


def check_prepared(subject: CheckSubject) -> None:
    """Prepared methods of the core library's image lie in it and are methods of types; one that has such an image has prepared some."""
    section = next((part for part in subject.code.sections if part.module == subject.core_library and part.kind == "ready-to-run"), None)
    if section is None:
        return
    prepared, found, address = PreparedCode(subject.memory, subject.layout), 0, section.end
    outside = [entry for entry in prepared.entries(subject.core_library) if not section.start <= entry < section.end]
    expect(
        not outside, f"HashMap: {len(outside)} prepared methods lie outside of the core library's image, one at {(outside or [0])[0]:#x}"
    )
    while found < SAMPLE_METHODS and (nearest := prepared.before(subject.core_library, address - 1)) is not None:
        address, desc = nearest
        expect(bool(subject.code.methods.method(desc).name), f"HashMap: the prepared method {address:#x} has no MethodDesc")
        start = _fragment_start(prepared, subject, section, address)
        expect(start == address, f"RUNTIME_FUNCTION: the code of the prepared method {address:#x} starts at {start or 0:#x}")
        found += 1
    expect(found > 0, "ReadyToRunInfo: no method of the core library is prepared")


def _fragment_start(prepared: PreparedCode, subject: CheckSubject, section: CodeSection, address: int) -> int | None:
    """As of PreparedCode; the address itself where the dump merely lacks pages of the image that the table lies in."""
    try:
        return prepared.fragment_start(subject.core_library, section.start, address)
    except Unreadable as error:
        if section.start <= error.address < section.end:
            return address
        raise


def check_internal_calls(subject: CheckSubject) -> None:
    """Native methods of the core library lie in the runtime, in the chain of their own hash, and are internal calls."""
    memory, layout = subject.memory, subject.layout
    if not layout.has_global("FCallMethods"):
        return
    size, found = layout.constant("FCallHashSize"), 0
    for chain, first in enumerate(memory.words(layout.global_address("FCallMethods"), size)):
        entry = first
        for _ in range(2 if found < SAMPLE_METHODS else 0):
            if not entry:
                break
            code = subject.pointer(entry, "ECHash", "Implementation")
            expect(code % size == chain, f"ECHash: {code:#x} is in chain {chain} of {size}")
            kind = subject.code.methods.method(subject.pointer(entry, "ECHash", "MethodDesc")).kind
            expect(kind == "internal call", f"ECHash: the method at {code:#x} is no internal call but {kind}")
            entry, found = subject.pointer(entry, "ECHash", "Next"), found + 1
    expect(found > 0, "ECHash: the runtime knows no internal call")


def check_frame_types(subject: CheckSubject) -> None:
    """Each class of Frame has a mark of its own: two with one mark are a table that has moved."""
    layout = subject.layout
    indices = [layout.constant(name) for name in layout.constants if name.startswith("VTableIndex.")]
    expect(len(set(indices)) == len(indices), "VTableIndex: two classes of Frames have one place")
    names = [name.removeprefix("VTableIndex.") for name in layout.constants if name.startswith("VTableIndex.")]
    addresses = {layout.global_address(f"{name}VTable") for name in names if layout.has_global(f"{name}VTable")}
    expect(len(addresses) == len(names), f"VTableIndex: {len(names)} classes of Frames have {len(addresses)} vtables")
    known = frame_types(layout)
    for thread in subject.threads[:SAMPLE_THREADS]:
        frame, left = thread.frame or 0, SAMPLE_FRAMES
        while frame not in NO_FRAME and left:
            identity = subject.memory.pointer(frame)
            expect(identity in known, f"Frame: {frame:#x} of thread {thread.managed_id} is of no known class: {identity:#x}")
            following = subject.pointer(frame, "Frame", "Next")
            one_function = known[identity] in WITHOUT_REGISTERS and frame - following < FUNCTION_FRAME_BYTES
            above = following in NO_FRAME or following > frame or one_function
            expect(above, f"Frame.Next: {following:#x} does not lie above {frame:#x}")
            frame, left = following, left - 1
