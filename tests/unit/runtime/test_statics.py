"""Statics of types that a test made up: what they hold, whose they are, and what becomes of those that cannot be read."""

from types import SimpleNamespace
from typing import Any

from heaphound.errors import Malformed
from heaphound.layouts.load import layout_file
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.statics import Static, StaticGap, StaticList, read_static_list, read_statics
from tests.unit.runtime.written_memory import written_memory

AUXILIARY, STATICS, NUMBERS, CAT, STRING, BOX = 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x60000
OWNER, BASE_TYPE, THREAD, DATA = 0x70000, 0x71000, 0x80000, 0x90000


def field(name: str, offset: int | None, kind: ElementType, **more: bool) -> Any:
    flags = {"is_static": True, "is_thread_static": False, "is_rva": False, "is_reference": kind == ElementType.CLASS} | more
    return SimpleNamespace(name=name, offset=offset, element_type=kind, token=0x04000001, type_name=f"type of {name}", **flags)


FIELDS = [
    field("Home", 0, ElementType.CLASS),
    field("Gone", 8, ElementType.CLASS),
    field("Size", 16, ElementType.VALUE_TYPE),
    field("Count", 4, ElementType.I4),
    field("Table", 0x2000, ElementType.VALUE_TYPE, is_rva=True),
    field("inner", 8, ElementType.CLASS, is_static=False),
    field("Added", None, ElementType.CLASS),
    field("Mine", 16, ElementType.CLASS, is_thread_static=True),
]


def process(fields: list[Any]) -> tuple[Any, Any, Any]:
    """One type with those fields, one without, and a thread; .NET 9."""
    image, memory = written_memory()
    layout = layout_file("9.0.0", "x64", None).layout
    image.write(OWNER, bytes(64))
    image.words(OWNER + layout.offset("MethodTable", "AuxiliaryData"), AUXILIARY + 0x40)
    image.write(OWNER + layout.offset("MethodTable", "MTFlags2"), b"\2")
    image.write(AUXILIARY, bytes(0x80))
    image.words(AUXILIARY + 0x40 - 24, STATICS, NUMBERS | 1, OWNER)
    info = AUXILIARY + 0x40 - layout.size("ThreadStaticsInfo")
    image.write(info + layout.offset("ThreadStaticsInfo", "GCTlsIndex"), (0x02000050).to_bytes(4, "little"))
    image.write(info + layout.offset("ThreadStaticsInfo", "NonGCTlsIndex"), b"\xff\xff\xff\xff")
    image.words(STATICS, CAT, 0, BOX)
    image.words(CAT, STRING | 1)
    image.words(BOX, STRING)
    image.write(THREAD, bytes(2048))
    image.words(THREAD + layout.offset("Thread", "ThreadLocalDataPtr"), DATA)
    image.write(DATA, bytes(0x80))
    image.words(DATA + 0x60, CAT)
    tables = SimpleNamespace(field_counts=lambda eeclass: (0, 1 if eeclass else 0))
    plain = {"is_array": False, "is_free": False, "is_generic_definition": False, "component_size": 0, "module_address": 0x99}
    owner = SimpleNamespace(method_table=OWNER, name="Zoo.Cat", eeclass=1, own_fields=fields, **plain)
    empty = SimpleNamespace(method_table=BASE_TYPE, name="Zoo.Animal", eeclass=0, own_fields=(), **plain)
    named = {STRING: SimpleNamespace(name="System.String")}

    def type_at(method_table: int) -> Any:
        if method_table not in named:
            raise Malformed(f"no type at {method_table:#x}")
        return named[method_table]

    types = SimpleNamespace(memory=memory, layout=layout, method_tables=tables, types=lambda: [empty, owner], type=type_at)
    return image, SimpleNamespace(memory=memory, layout=layout), types


def read(fields: list[Any], values: bool = False) -> StaticList:
    _, runtime, types = process(fields)
    threads: Any = [SimpleNamespace(address=THREAD, managed_id=5, os_id=77, alive=True), SimpleNamespace(address=0x1, alive=False)]
    return read_static_list(runtime, types, values=values, threads=threads)


def test_what_is_found() -> None:
    found = read(FIELDS)
    assert [(static.field, static.slot, static.holds, static.object, static.object_type, static.thread) for static in found.statics] == [
        ("Home", STATICS, "reference", CAT, "System.String", None),
        ("Gone", STATICS + 8, "reference", None, None, None),
        ("Size", STATICS + 16, "boxed value", BOX, "System.String", None),
        ("Mine", DATA + 0x60, "reference", CAT, "System.String", 5),
    ]
    assert found.gaps == ()


def test_everything_that_is_said_of_one() -> None:
    assert read(FIELDS[:1]).statics[0] == Static(
        declaring_type="Zoo.Cat",
        method_table=OWNER,
        field="Home",
        field_type="type of Home",
        element_type=ElementType.CLASS,
        token=0x04000001,
        slot=STATICS,
        holds="reference",
        object=CAT,
        object_type="System.String",
        module=0x99,
        initialized=False,
    )


def test_numbers_when_asked_for() -> None:
    assert [(static.field, static.slot, static.object) for static in read(FIELDS[3:4], values=True).statics] == [
        ("Count", NUMBERS + 4, None)
    ]


def test_an_object_that_cannot_be_read_is_a_gap() -> None:
    image, runtime, types = process(FIELDS[:2])
    image.words(STATICS, 0xDEAD000)
    found = read_static_list(runtime, types, threads=[])
    assert [static.field for static in found.statics] == ["Gone"]
    assert [(gap.method_table, gap.thread) for gap in found.gaps] == [(OWNER, None)]
    assert "Home" in found.gaps[0].reason


def test_storage_that_is_another_types_is_a_gap() -> None:
    image, runtime, types = process(FIELDS[:2])
    image.words(AUXILIARY + 0x40 - 8, OWNER + 8)
    assert read_static_list(runtime, types, threads=[]).statics == ()
    gap = read_static_list(runtime, types, threads=[]).gaps[0]
    assert gap == StaticGap(OWNER, gap.reason)
    assert "self-check DynamicStaticsInfo" in gap.reason


def test_a_list_of_them(monkeypatch: Any) -> None:
    _, runtime, types = process(FIELDS[:2])
    monkeypatch.setattr("heaphound.runtime.statics.read_threads", lambda _runtime: [])
    assert [static.field for static in read_statics(runtime, types)] == ["Home", "Gone"]
