"""Every kind of delegate and every place of a static, against what the program says of itself (tests/programs/Callables/Program.cs)."""

from struct import calcsize, unpack
from typing import Any

import pytest

import heaphound
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.statics import Static, read_static_list
from heaphound.session import Session
from tests.lab.dumps import Recipe, make_dump
from tests.lab.runtimes import SINCE_NET_6

FORMATS = {
    ElementType.BOOLEAN: "?",
    ElementType.CHAR: "H",
    ElementType.I2: "h",
    ElementType.U1: "B",
    ElementType.I4: "i",
    ElementType.I8: "q",
    ElementType.R4: "f",
    ElementType.R8: "d",
    ElementType.I: "q",
    ElementType.POINTER: "Q",
    ElementType.FUNCTION_POINTER: "Q",
}


@pytest.fixture(scope="module", params=SINCE_NET_6)
def session(request: pytest.FixtureRequest) -> Session:
    opened: Session = heaphound.open(str(make_dump(Recipe("Callables", request.param)).path)).session
    return opened


def text(session: Session, address: int) -> str:
    return session.core.memory.utf16(address + 12, session.core.memory.u32(address + 8))


def held(session: Session) -> list[dict[str, Any]]:
    """Fields of each `Held` object: reference fields as addresses, texts as text."""
    memory = session.core.memory
    (kind,) = session.types.find("Callables.Held")
    index = session.table.method_tables.tolist().index(kind.method_table)
    rows = []
    for instance in session.table.instances(index).tolist():
        address = session.table.address_of(instance)
        row = {
            field.name: memory.u64(address + 8 + field.offset) for field in kind.fields if field.is_reference and field.offset is not None
        }
        rows.append(row | {name: text(session, row[name]) if row[name] else None for name in ("Label", "Expect")})
    return rows


def named_without_metadata(session: Session, row: dict[str, Any]) -> bool:
    """A 6.0 runtime keeps the metadata of emitted modules in a form of its own; their types have no names in its dumps."""
    return bool(row["Expect"]) and "Thing" in row["Expect"] and not session.runtime.layout.has("Module", "DynamicMetadata")


def test_delegates(session: Session) -> None:
    rows = [row for row in held(session) if row["Label"] != "multicast"]
    memory, wrong = session.core.memory, []
    for row in rows:
        target, _, pointer, auxiliary, first, count = memory.words(row["Call"] + 8, 6)
        found = session.code.resolve_delegate(row["Call"], target, pointer, auxiliary, first, count)
        name = None if found.method is None else found.method.full_name
        if (name, found.target or 0) != (row["Expect"], row["Target"]) and not named_without_metadata(session, row):
            wrong.append((row["Label"], row["Expect"], name, hex(row["Target"]), found))
    assert len(rows) > 40
    assert wrong == []


def test_delegates_as_objects(session: Session) -> None:
    for row in held(session):
        if row["Label"] not in ("multicast", "unmanaged") and not named_without_metadata(session, row):
            (called,) = session.objects.delegates.targets(row["Call"], session.types.type(session.core.memory.pointer(row["Call"])), 10)
            assert (called.method, 0 if called.target is None else called.target.address) == (row["Expect"], row["Target"])


def test_kinds_of_delegates(session: Session) -> None:
    kinds = {}
    for row in (row for row in held(session) if row["Label"] != "multicast"):
        target, _, pointer, auxiliary, first, count = session.core.memory.words(row["Call"] + 8, 6)
        kinds[row["Label"]] = session.code.resolve_delegate(row["Call"], target, pointer, auxiliary, first, count).kind
    assert {label for label, kind in kinds.items() if kind == "unmanaged"} == {"unmanaged"}
    assert {label for label, kind in kinds.items() if kind == "unknown"} == set()
    wanted = {"open virtual", "open virtual, called", "open interface", "open interface, called"}
    assert {label for label, kind in kinds.items() if kind == "open virtual"} == wanted


def value(session: Session, static: Static) -> Any:
    """Text of a string, a number, (texts and numbers of) the box of a struct; None for null."""
    memory = session.core.memory
    if static.holds == "value":
        form = FORMATS[ElementType(static.element_type)]
        return unpack(f"<{form}", memory.bytes(static.slot, calcsize(form)))[0]
    if static.object is None:
        return None
    if static.object_type == "System.String":
        return text(session, static.object)
    if static.object_type == "Callables.Mixed":
        inner = memory.u64(static.object + 8)
        return text(session, inner) if inner else ""
    return static.object_type


def statics(session: Session, prefix: str, plugin: bool = False) -> dict[str, Any]:
    """`Type.Field` (`Type.Field on THREAD`) to value."""
    found = {}
    listed = read_static_list(session.runtime, session.types, values=True)
    assert listed.gaps == ()
    names = {thread.managed_id: thread.name or str(thread.managed_id) for thread in session.threads}
    for static in listed.statics:
        module = session.types.module_at(static.module)
        if static.declaring_type.startswith(prefix) and module is not None and module.collectible == plugin:
            where = "" if static.thread is None else f" on {names[static.thread]}"
            found[f"{static.declaring_type.removeprefix('Callables.')}.{static.field}{where}"] = value(session, static)
    return found


PLAIN = {
    "Bool": True,
    "Byte": 0xFE,
    "Short": -3,
    "Int": -12345,
    "Long": 2**63 - 2,
    "Float": 1.5,
    "Double": 3.141592653589793,
    "Char": ord("Z"),
    "Native": 0x1234,
    "Tint": 7,
    "Pointer": 0x5678,
    "Text": "plain text",
    "Null": None,
    "Boxed": "System.Int32",
    "Numbers": "System.Int32[]",
    "Voice": "Callables.Reed",
    "Call": "System.Action",
    "Mixed": "mixed text",
    "Decimal": "System.Decimal",
    "When": "System.DateTime",
    "Id": "System.Guid",
    "Some": "System.Nullable<System.Int32>",
    "None": "System.Nullable<System.Int32>",
    "Table": "System.Byte[]",
}


@pytest.mark.parametrize("plugin", [False, True])
def test_statics_of_every_type(session: Session, plugin: bool) -> None:
    found = {name.removeprefix("Plain."): held for name, held in statics(session, "Callables.Plain", plugin).items() if " on " not in name}
    assert found.pop("Plain+<>c.<>9") == "Callables.Plain+<>c"
    function = found.pop("Function")
    assert found == PLAIN
    named = session.code.resolve(function)
    assert named is not None
    assert named.full_name == "Callables.Plain.Called(System.Int32)"


def test_thread_statics(session: Session) -> None:
    found = {name: held for name, held in statics(session, "Callables.Plain").items() if " on " in name}
    assert found == {
        "Plain.Mine on 1": "mine on main",
        "Plain.MyNumber on 1": 11,
        "Plain.MyMixed on 1": "my mixed",
        "Plain.Mine on second": "mine on second",
        "Plain.MyNumber on second": 22,
        "Plain.MyMixed on second": "",
    }


def test_thread_statics_of_a_collectible_type(session: Session) -> None:
    found = {name: held for name, held in statics(session, "Callables.Plain", True).items() if " on " in name}
    assert found == {"Plain.Mine on 1": "mine in the plugin", "Plain.MyNumber on 1": 77, "Plain.MyMixed on 1": ""}


def test_statics_of_instantiations(session: Session) -> None:
    found = statics(session, "Callables.Generic")
    plain = {name: held for name, held in found.items() if " on " not in name}
    assert plain == {
        "Generic<System.String>.Value": "generic value",
        "Generic<System.String>.Text": "text of string",
        "Generic<System.String>.Number": 0,
        "Generic<System.String>.Mixed": "",
        "Generic<System.Int32>.Value": 55,
        "Generic<System.Int32>.Text": "text of int",
        "Generic<System.Int32>.Number": 56,
        "Generic<System.Int32>.Mixed": "",
        "Generic<Callables.Mixed>.Value": "value type argument",
        "Generic<Callables.Mixed>.Text": None,
        "Generic<Callables.Mixed>.Number": 0,
        "Generic<Callables.Mixed>.Mixed": "mixed in generic",
        "Generic<System.String>+Nested<System.Int32>.Pair": "System.Collections.Generic.KeyValuePair<System.String, System.Int32>",
        "Generic<System.String>+Nested<System.Int32>.Name": "nested name",
    }
    # Since .NET 9 plain numbers lie in the thread's own block, where each thread has room for them: only what was set is compared.
    assert {name: held for name, held in found.items() if " on " in name and held not in (0, None)} == {
        "Generic<System.String>.PerThread on 1": "per thread on main",
        "Generic<System.String>.PerThread on second": "per thread on second",
        "Generic<System.Int32>.PerThread on 1": 66,
        "Generic<System.Int32>.NumberPerThread on 1": 67,
    }


def test_statics_of_a_collectible_instantiation(session: Session) -> None:
    found = statics(session, "Callables.Generic", True)
    assert found["Generic<System.String>.Value"] == "value in the plugin"
    assert found["Generic<System.String>.PerThread on 1"] == "per thread in the plugin"


def test_statics_belong_to_the_type_that_declares_them(session: Session) -> None:
    assert statics(session, "Callables.Parent") == {"Parent.Shared": "of the parent", "Parent.Count": 1 + len("of the child")}
    assert statics(session, "Callables.Child") == {"Child.Own": "of the child"}
    assert statics(session, "Callables.Parent", True) == {"Parent.Shared": "of the parent", "Parent.Count": 1}


def test_static_constructors_that_have_not_finished(session: Session) -> None:
    assert statics(session, "Callables.Slow") == {"Slow.Early": "early", "Slow.Made": "System.Object", "Slow.Late": None}
    assert statics(session, "Callables.Broken") == {"Broken.Before": "before it broke", "Broken.After": None}
    assert statics(session, "Callables.Lazily") == {}
    listed = read_static_list(session.runtime, session.types).statics
    states = {static.declaring_type: static.initialized for static in listed if static.thread is None}
    assert (states["Callables.Slow"], states["Callables.Broken"], states["Callables.Plain"]) == (False, False, True)


def test_statics_of_emitted_types(session: Session) -> None:
    assert statics(session, "Emitted.") == {"Emitted.Thing.Text": "emitted Emitted", "Emitted.Thing.Number": 4242}
    assert statics(session, "Unloadable.", True) == {"Unloadable.Thing.Text": "emitted Unloadable", "Unloadable.Thing.Number": 4242}
