"""Self-checks on what is held: a static holds an object of its declared type, an exception is one, a finalizable object has a finalizer."""

from collections.abc import Iterable, Iterator
from itertools import islice

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.exception_trackers import tracker_owner
from heaphound.runtime.fields import Field
from heaphound.runtime.finalizer import read_finalizer_queue
from heaphound.runtime.link_checks import sampled_instantiations
from heaphound.runtime.signatures import Array, GenericInstance, Modified, Named, Primitive, Vector, field_type
from heaphound.runtime.static_bases import StaticBases
from heaphound.runtime.statics import static_storages
from heaphound.runtime.type_checks import declares_method
from heaphound.runtime.types import Type

SAMPLE_TYPES = 1500  # of the core library, looked through for those with statics
SAMPLE_OWNERS = 60
SAMPLE_THREADS = 4
SAMPLE_OBJECTS = 64


def check_held_statics(subject: CheckSubject) -> None:
    """Most statics of plain types, and most of instantiations, hold an object of their declared type."""
    storage, _ = static_storages(subject.runtime)
    for kind, types in (
        ("plain types", _core_types(subject)),
        ("instantiations", instantiated_types(subject)),
        ("types that can be unloaded", collectible_types(subject)),
    ):
        owners = islice((owner for owner in types if _has_statics(subject, owner, on_threads=False)), SAMPLE_OWNERS)
        found = [(owner, storage.bases(owner)) for owner in owners]
        _expect_declared(subject, kind, "statics", found, on_threads=False)


def check_initialized(subject: CheckSubject) -> None:
    """Most types of the core library that have a static constructor and statics that hold objects are said to be initialized."""
    storage, _ = static_storages(subject.runtime)
    told = list[bool]()
    for owner in islice((owner for owner in _core_types(subject) if _has_statics(subject, owner, on_threads=False)), SAMPLE_OWNERS):
        bases = storage.bases(owner)
        if bases.gc is not None and declares_method(owner, ".cctor") and any(_held(subject, owner, bases)):
            told.append(bool(bases.initialized))
    if not told:
        subject.not_exercised("DomainLocalModule.DataBlob")
    expect(
        2 * sum(told) >= len(told),
        f"DomainLocalModule.DataBlob: of {len(told)} types whose statics are set only {sum(told)} are initialized",
    )


def _held(subject: CheckSubject, owner: Type, bases: StaticBases) -> Iterator[int]:
    """What the ordinary static references of a type hold; 0 for null."""
    for field in owner.own_fields:
        plain = field.is_static and field.is_reference and not field.is_rva and not field.is_thread_static
        if plain and bases.gc is not None and field.offset is not None:
            yield subject.memory.pointer(bases.gc + field.offset)


def check_held_thread_statics(subject: CheckSubject) -> None:
    """Most thread statics hold an object of their declared type."""
    _, storage = static_storages(subject.runtime)
    threads = [thread.address for thread in subject.threads if thread.alive][:SAMPLE_THREADS]
    for kind, types in (
        ("plain types", _core_types(subject)),
        ("instantiations", instantiated_types(subject)),
        ("types that can be unloaded", collectible_types(subject)),
    ):
        owners = list(islice((owner for owner in types if _has_statics(subject, owner, on_threads=True)), SAMPLE_OWNERS))
        found = [(owner, storage.bases(thread, owner)) for owner in owners for thread in threads]
        _expect_declared(subject, kind, "thread statics", found, on_threads=True)


def _core_types(subject: CheckSubject) -> Iterator[Type]:
    """Types that the core library defines, without those that have no MethodTable of their own."""
    table = subject.core_library + subject.layout.offset("Module", "TypeDefToMethodTableMap")
    for _, address in islice(subject.types.maps.items(table), SAMPLE_TYPES):
        yield subject.types.type(address)


def instantiated_types(subject: CheckSubject) -> Iterator[Type]:
    """Generic types with their arguments, of the core library and some others."""
    for handle in sampled_instantiations(subject):
        found = subject.types.resolve_handle(handle).type
        if found is not None and not found.is_array:
            yield found


def collectible_types(subject: CheckSubject) -> Iterator[Type]:
    """Types of modules that can be unloaded."""
    for module in subject.modules.modules:
        if module.collectible:
            table = module.address + subject.layout.offset("Module", "TypeDefToMethodTableMap")
            yield from (subject.types.type(address) for _, address in islice(subject.types.maps.items(table), SAMPLE_TYPES))


def _has_statics(subject: CheckSubject, owner: Type, on_threads: bool) -> bool:
    """Whether it has statics that can refer to objects; metadata may be lacking for some modules."""
    if subject.without_files and (owner.module is None or owner.module.metadata is None):
        return False  # signatures are in the metadata
    if owner.is_generic_definition or not subject.types.method_tables.field_counts(owner.eeclass)[1]:
        return False
    return any(field.is_static and field.is_thread_static == on_threads and field.is_reference for field in owner.own_fields)


def _expect_declared(subject: CheckSubject, kind: str, what: str, owners: Iterable[tuple[Type, StaticBases]], on_threads: bool) -> None:
    right, wrong = 0, list[str]()
    for owner, bases in owners:
        for field in owner.own_fields:
            known = field.is_static and not field.is_rva and field.is_thread_static == on_threads and field.is_reference
            if not known or bases.gc is None or field.offset is None:
                continue
            try:
                held = subject.memory.pointer(bases.gc + field.offset)
                agrees = _is_declared(subject, held, field) if held else None
            except (Unreadable, Malformed) as error:
                wrong.append(f"{owner.name}.{field.name}: {error}")
                continue
            if agrees:
                right += 1
            elif agrees is not None:
                wrong.append(f"{owner.name}.{field.name} holds {held:#x}, which is of another type")
    if not right and not wrong:
        subject.not_exercised(f"{what} of {kind}")
    expect(
        len(wrong) <= right, f"{what} of {kind}: {len(wrong)} of {right + len(wrong)} are not of their type: {wrong[0] if wrong else ''}"
    )


def _is_declared(subject: CheckSubject, address: int, field: Field) -> bool | None:
    """Whether an object is of the field's class or of one derived from it, type arguments left aside; None where the class does not tell
    (interfaces, type parameters, what is not loaded)."""
    found = subject.types.type(subject.memory.pointer(address) & ~subject.layout.constant("ObjectToMethodTableUnmask"))
    node = field_type(field.signature)
    while isinstance(node, Modified):
        node = node.inner
    if isinstance(node, Vector | Array):
        return found.is_array
    if isinstance(node, GenericInstance):
        node = node.definition  # the instantiation itself would have to be looked for among all loaded types
    module = field.declaring_type.module
    if module is None or not isinstance(node, Named | Primitive):
        return None
    declared = subject.types.signatures.resolve(node, module).type
    if declared is None or declared.is_interface or declared.parent is None:
        return None
    if found.is_array:
        return declared.method_table == subject.types.well_known("ArrayMethodTable")
    return any(base.definition_name == declared.definition_name for base in (found, *found.bases()))


def check_exceptions(subject: CheckSubject) -> None:
    """What a thread threw last, and what it is handling, is an exception; who is handling one has thrown one, and it says whose it is."""
    thrown = [(thread, address) for thread in subject.threads for address in (thread.exception, *thread.nested_exceptions) if address]
    if not any(thread.exception for thread in subject.threads):
        subject.not_exercised("Thread.LastThrownObject")
    if not any(subject.pointer(thread.address, "Thread", "ExceptionTracker") for thread in subject.threads):
        subject.not_exercised("Thread.ExceptionTracker")
    wanted = subject.runtime.global_value("ExceptionMethodTable")
    mask = ~subject.layout.constant("ObjectToMethodTableUnmask")
    for thread, address in thrown[:SAMPLE_OBJECTS]:
        try:
            found = subject.types.type(subject.memory.pointer(address) & mask)
        except Unreadable:
            continue  # a small dump has threads and no heap
        derives = any(base.method_table == wanted for base in (found, *found.bases()))
        expect(derives, f"Thread.LastThrownObject: thread {thread.managed_id} is said to have thrown a {found.name}")
    handling = [thread for thread in subject.threads if thread.alive and subject.pointer(thread.address, "Thread", "ExceptionTracker")]
    without = [thread for thread in handling if thread.exception is None]
    for thread in handling:
        tracker = subject.pointer(thread.address, "Thread", "ExceptionTracker")
        owner = subject.memory.optional(lambda address: tracker_owner(subject.memory, subject.layout, address), tracker)
        expect(
            owner in (None, thread.address),
            f"Thread.ExceptionTracker: that of thread {thread.managed_id} at {tracker:#x} belongs to the Thread at {owner or 0:#x}",
        )
    expect(
        2 * len(without) <= len(handling), f"Thread.ExceptionTracker: {len(without)} of {len(handling)} such threads have thrown nothing"
    )


def check_finalizable(subject: CheckSubject) -> None:
    """What the finalizer queue holds has a finalizer."""
    queue = read_finalizer_queue(subject.runtime, subject.heap)
    mask, seen = ~subject.layout.constant("ObjectToMethodTableUnmask"), 0
    for address in (*queue.ready.objects[:SAMPLE_OBJECTS].tolist(), *queue.waiting.objects[:SAMPLE_OBJECTS].tolist()):
        try:
            found = subject.types.type(subject.memory.pointer(address) & mask)
        except Unreadable:
            continue
        expect(found.has_finalizer, f"MethodTableFlags.HasFinalizer: {found.name} is in the finalizer queue and has flags {found.flags:#x}")
        seen += 1
    if not seen:
        subject.not_exercised("MethodTableFlags.HasFinalizer")
