"""Self-checks on content: what every .NET program has by name must come out by name."""

from collections.abc import Iterator

from heaphound.errors import LayoutError
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.typedesc import array_method_table
from heaphound.runtime.types import Type

WELL_KNOWN = {
    "ObjectMethodTable": "System.Object",
    "StringMethodTable": "System.String",
    "ArrayMethodTable": "System.Array",
    "ExceptionMethodTable": "System.Exception",
    "RuntimeTypeMethodTable": "System.RuntimeType",
    "CanonMethodTable": "System.__Canon",
    "DelegateMethodTable": "System.Delegate",
    "MulticastDelegateMethodTable": "System.MulticastDelegate",
    "ValueTypeMethodTable": "System.ValueType",
    "EnumMethodTable": "System.Enum",
    "ThreadMethodTable": "System.Threading.Thread",
    "ObjectArrayMethodTable": "System.Object[]",
}
# Types whose fields the runtime's own code knows, as the layout names them: the MethodTable's global, and the layout's type.
WITH_KNOWN_FIELDS = {
    "ExceptionMethodTable": "Exception",
    "DelegateMethodTable": "Delegate",
    "MulticastDelegateMethodTable": "MulticastDelegate",
    "ThreadMethodTable": "ManagedThread",
}
# The same of types that no global leads to, by name.
WITH_KNOWN_FIELDS_BY_NAME = {"System.Reflection.LoaderAllocator": "LoaderAllocatorObject"}
# Set while the runtime starts (corhost.cpp calls AppContext.Setup). Up to 8.0 String.Empty is no static of the usual kind.
KNOWN_STATICS = [
    ("System.String", "Empty", "System.String"),
    ("System.AppContext", "s_dataStore", "System.Collections.Generic.Dictionary<System.String, System.Object>"),
]
IL_STUB = "IL_STUB"  # what the runtime calls each method that it makes of IL itself (ilstubcache.cpp)
SAMPLE_OBJECTS = 64
SAMPLE_METHODS = 4
POINTER_BYTES = 8


def check_metadata(subject: CheckSubject) -> None:
    """The metadata of the core library is in the dump: without it nothing has a name."""
    library = subject.types.core_library
    if library.metadata is None:
        raise LayoutError(f"the metadata of {library.path} is not in the dump ({library.metadata_missing}); give the file with --binaries")


def check_names(subject: CheckSubject) -> None:
    """The runtime's well-known types have their names, and so have the types of objects that handles hold."""
    types = subject.types
    for name, expected in WELL_KNOWN.items():
        table = _well_known(subject, name)
        found = types.type(table).name if table else "nothing"
        expect(found == expected, f"type names: {name} is called {found}, not {expected}")
    mask = ~subject.layout.constant("ObjectToMethodTableUnmask")
    strong = subject.handles.of_kind("Strong") | subject.handles.of_kind("Pinned")
    for target in subject.handles.objects[strong][:SAMPLE_OBJECTS].tolist():
        expect(bool(types.type(subject.memory.pointer(target) & mask).name), f"type names: the type of object {target:#x} has none")


def _well_known(subject: CheckSubject, name: str) -> int:
    """As TypeSystem.well_known. To 3.1 the runtime's table of array types has TypeDescs, not MethodTables."""
    if name != "ObjectArrayMethodTable" or not subject.layout.has_global("ObjectArrayTypeDesc"):
        return subject.types.well_known(name)
    return array_method_table(subject.memory, subject.layout, subject.runtime.global_value("ObjectArrayTypeDesc")) or 0


def check_field_names(subject: CheckSubject) -> None:
    """Fields that the runtime's own code relies on lie where it has them."""
    check_metadata(subject)
    known = [(subject.types.well_known(name), layout_type) for name, layout_type in WITH_KNOWN_FIELDS.items()]
    for table, layout_type in known:
        _check_fields_of(subject, subject.types.type(table) if table else None, layout_type)
    for name, layout_type in WITH_KNOWN_FIELDS_BY_NAME.items():
        if subject.layout.has(layout_type):
            _check_fields_of(subject, subject.types.core_type(name), layout_type)


def _check_fields_of(subject: CheckSubject, owner: Type | None, layout_type: str) -> None:
    """Nothing is checked of a type that is not loaded."""
    if owner is None:
        subject.not_exercised(layout_type)
        return
    offsets = {field.name: field.offset for field in owner.own_fields if not field.is_static}
    for field in subject.layout.types[layout_type].fields:
        offset, known = offsets.get(field), subject.layout.offset(layout_type, field)
        expect(offset is not None, f"field names: {layout_type} has no field {field}")
        expect(offset is None or offset == known - POINTER_BYTES, f"field offsets: {layout_type}.{field} is at {offset}, not {known}")


def check_known_statics(subject: CheckSubject) -> None:
    """Static fields that every started program has set hold an object of the right type, at least one of them and none another."""
    from heaphound.runtime.statics import static_storages

    check_metadata(subject)
    storage, _ = static_storages(subject.runtime)
    right = 0
    for owner_name, field, expected in KNOWN_STATICS:
        owner = subject.types.core_type(owner_name)
        base = None if owner is None else storage.bases(owner).gc
        offset = None if owner is None else _static_offset(owner, field)
        held = 0 if base is None or offset is None else subject.memory.pointer(base + offset)
        if held:
            found = subject.types.type(subject.memory.pointer(held) & ~subject.layout.constant("ObjectToMethodTableUnmask")).name
            expect(found == expected, f"statics: {owner_name}.{field} holds a {found}, not a {expected}")
            right += 1
    expect(right > 0, f"statics: none of {', '.join(f'{owner}.{field}' for owner, field, _ in KNOWN_STATICS)} holds an object")


def check_current_threads(subject: CheckSubject) -> None:
    """The thread static Thread.t_currentThread of a thread is the object of that thread, for at least one and against none."""
    from heaphound.runtime.statics import static_storages

    check_metadata(subject)
    _, storage = static_storages(subject.runtime)
    thread_type = subject.types.type(subject.runtime.global_value("ThreadMethodTable"))
    offset = _static_offset(thread_type, "t_currentThread")
    if offset is None:
        raise LayoutError("self-check Thread.t_currentThread: there is no such field")
    agreeing = 0
    if all(thread.managed_object is None for thread in subject.threads):
        subject.not_exercised("Thread.t_currentThread")  # a program that never asked for its threads has no objects of them
        return
    for thread in subject.threads:
        base = storage.bases(thread.address, thread_type).gc if thread.alive else None
        current = subject.memory.pointer(base + offset) if base is not None else 0
        expect(current in (0, thread.managed_object), f"Thread.t_currentThread: thread {thread.managed_id} has {current:#x} there")
        agreeing += current != 0
    expect(agreeing > 0, "Thread.t_currentThread: it is null on all threads")


def check_methods(subject: CheckSubject) -> None:
    """The first methods of each heap of JIT code have names."""
    from heaphound.runtime.nibble_map import NibbleMap, NibbleMapKind

    locator = subject.code
    kind: NibbleMapKind = "constant-time" if subject.layout.contract("NibbleMap") == "constant-time" else "linear"
    found = 0
    for section in locator.sections:
        if section.map_base is None or section.nibble_map is None or not section.used_bytes:
            continue
        starts = NibbleMap(subject.memory, section.map_base, section.nibble_map, kind).method_starts(section.start + section.used_bytes)
        for start in _first(starts):
            location = locator.locate(start)
            if location is None:
                continue
            expect(location.problem is None, f"RealCodeHeader: the code at {start:#x} has no method: {location.problem}")
            if location.method is not None and location.method.is_dynamic:
                stub = location.method.kind == "il stub"
                expect(
                    stub == location.method.name.startswith(IL_STUB),
                    f"DynamicMethodDesc: {location.method.full_name} is an il stub: {stub}",
                )
            found += 1
    expect(found > 0, "RealCodeHeader: no heap of JIT code has a method")


def _first(starts: Iterator[int]) -> list[int]:
    return [start for start, _ in zip(starts, range(SAMPLE_METHODS), strict=False)]


def _static_offset(owner: Type, name: str) -> int | None:
    return next((field.offset for field in owner.own_fields if field.name == name and field.is_static), None)
