"""Static and thread-static fields: where each lies and what it refers to, under the type that declares it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.domain_local_statics import DomainLocalStatics
from heaphound.runtime.dynamic_statics import DynamicStatics
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.fields import Field
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.static_bases import StaticBases, StaticStorage, ThreadStaticStorage
from heaphound.runtime.thread_statics import ThreadLocalModules, ThreadLocalObjects
from heaphound.runtime.threads import Thread, read_threads
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem

Holds = Literal["reference", "boxed value", "value"]


@dataclass(frozen=True, slots=True)
class Static:
    """One static field; of a thread static the one of one thread.

    `slot` is the address of the field itself. It holds a reference to `object` ("reference"), a reference to the box in which the runtime
    keeps a struct ("boxed value", `object` is the box), or the value ("value": numbers, enums, pointers; `object` is None).
    `object` and `object_type` are None for null. `declaring_type` is the type whose source has the field, with its generic arguments: base
    classes' statics are not repeated under derived types. `initialized` tells whether the type's static constructor has finished (None:
    not known); `thread` is a managed thread id, `os_id` the thread's id in the kernel if it has one.
    """

    declaring_type: str
    method_table: int
    field: str
    field_type: str
    element_type: int
    token: int
    slot: int
    holds: Holds
    object: int | None
    object_type: str | None
    module: int
    initialized: bool | None = None
    thread: int | None = None
    os_id: int | None = None


@dataclass(frozen=True, slots=True)
class StaticGap:
    """Statics of one type (or of one type on one thread) that could not be read, and why."""

    method_table: int
    reason: str
    thread: int | None = None


@dataclass(frozen=True, slots=True)
class StaticList:
    """Statics in the order of their types' addresses, thread statics behind them; and what could not be read."""

    statics: tuple[Static, ...]
    gaps: tuple[StaticGap, ...]


def read_statics(runtime: Runtime, typesystem: TypeSystem, *, values: bool = False) -> list[Static]:
    """Statics and thread statics that have storage and hold references (with `values` also numbers). Raises as `read_static_list`."""
    return list(read_static_list(runtime, typesystem, values=values).statics)


def read_static_list(
    runtime: Runtime, typesystem: TypeSystem, *, values: bool = False, threads: Sequence[Thread] | None = None
) -> StaticList:
    """As `read_statics`, with the gaps. Cost: reads every loaded type once.

    Types whose storage the runtime never made have no statics yet and give nothing. Fields in the image (`is_rva`) are data of the
    program file and hold no references: left out. Raises LayoutError where this runtime's statics are not described.
    """
    storage, thread_storage = static_storages(runtime)
    reader = _Reader(typesystem, values)
    managed = {thread.address: thread for thread in (read_threads(runtime) if threads is None else threads) if thread.alive}
    with_thread_statics: list[Type] = []
    for owner in typesystem.types():
        fields = reader.static_fields(owner)
        if any(field.is_thread_static for field in fields):
            with_thread_statics.append(owner)
        plain = [field for field in fields if not field.is_thread_static]
        if plain:
            reader.add(owner, plain, None, storage.bases)
    for owner in with_thread_statics:
        fields = [field for field in reader.static_fields(owner) if field.is_thread_static]
        for address, thread in managed.items():
            reader.add(owner, fields, thread, partial(thread_storage.bases, address))
    return StaticList(tuple(reader.found), tuple(reader.gaps))


def static_storages(runtime: Runtime) -> tuple[StaticStorage, ThreadStaticStorage]:
    """Where this runtime keeps statics, and where thread statics."""
    memory, layout = runtime.memory, runtime.layout
    plain: StaticStorage = DomainLocalStatics(memory, layout)
    threaded: ThreadStaticStorage = ThreadLocalModules(memory, layout)
    if layout.contract("Statics") == "dynamic-statics-info":
        plain = DynamicStatics(memory, layout)
    if layout.contract("ThreadStatics") == "thread-local-data":
        threaded = ThreadLocalObjects(memory, layout)
    return plain, threaded


class _Reader:
    """Collects statics and gaps."""

    def __init__(self, typesystem: TypeSystem, values: bool) -> None:
        self._types = typesystem
        self._memory = typesystem.memory
        self._mask = ~typesystem.layout.constant("ObjectToMethodTableUnmask")
        self._values = values
        self.found: list[Static] = []
        self.gaps: list[StaticGap] = []

    def static_fields(self, owner: Type) -> list[Field]:
        """Own statics of a type that can have storage; none for open and shared instantiations."""
        try:
            if owner.is_array or owner.is_free or owner.is_generic_definition:
                return []
            if not self._types.method_tables.field_counts(owner.eeclass)[1]:
                return []
            return [field for field in owner.own_fields if field.is_static and not field.is_rva]
        except (Unreadable, Malformed) as error:
            self._gap(owner, str(error), None)
            return []

    def add(self, owner: Type, fields: Sequence[Field], thread: Thread | None, bases: Callable[[Type], StaticBases]) -> None:
        """Statics of one type, on one thread or on none."""
        try:
            found = bases(owner)
        except (Unreadable, Malformed, LayoutError) as error:
            self._gap(owner, str(error), thread)
            return
        if found:
            for field in fields:
                self._add_field(owner, field, found, thread)

    def _gap(self, owner: Type, reason: str, thread: Thread | None) -> None:
        self.gaps.append(StaticGap(owner.method_table, reason, None if thread is None else thread.managed_id))

    def _add_field(self, owner: Type, field: Field, bases: StaticBases, thread: Thread | None) -> None:
        holds = _holds(field)
        base = bases.non_gc if holds == "value" else bases.gc
        if base is None or field.offset is None or (holds == "value" and (not self._values or bases.only_what_is_set)):
            return
        slot = base + field.offset
        try:
            target = None if holds == "value" else self._memory.pointer(slot) or None
            target_type = None if target is None else self._types.type(self._memory.pointer(target) & self._mask).name
        except (Unreadable, Malformed) as error:
            self._gap(owner, f"{field.name} at {slot:#x}: {error}", thread)
            return
        if target is None and bases.only_what_is_set:
            return
        self.found.append(
            Static(
                declaring_type=owner.name,
                method_table=owner.method_table,
                field=field.name,
                field_type=field.type_name,
                element_type=field.element_type,
                token=field.token,
                slot=slot,
                holds=holds,
                object=target,
                object_type=target_type,
                module=owner.module_address,
                initialized=bases.initialized,
                thread=None if thread is None else thread.managed_id,
                os_id=None if thread is None else thread.os_id,
            )
        )


def _holds(field: Field) -> Holds:
    if field.is_reference:
        return "reference"
    return "boxed value" if field.element_type in (ElementType.VALUE_TYPE, ElementType.TYPED_BY_REFERENCE) else "value"
