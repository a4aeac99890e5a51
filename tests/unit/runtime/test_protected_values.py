"""Values that two kinds of Frame protect, signatures of calls through pointers, and lists that make no sense."""

from collections.abc import Sequence
from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.arguments import protected_values, unmanaged_call
from heaphound.runtime.arguments.leaves import Leaf
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.generics import ResolvedType
from tests.unit.runtime.toy_process import ToyProcess

STRUCT, CLASS, MODULE = 0x5000, 0x5100, 0x6000
LEAVES = (
    Leaf(0, ElementType.OBJECT, 8),
    Leaf(8, ElementType.I8, 8),
    Leaf(16, ElementType.BY_REFERENCE, 8),
    Leaf(24, ElementType.OBJECT, 8),
)
VERSIONS = ("3.0", "3.1", "6.0", "8.0", "9.0", "10.0")


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A struct of four words, and a class."""

    def resolve(handle: int) -> ResolvedType:
        if handle not in (STRUCT, CLASS):
            raise Malformed(f"there is no MethodTable at {handle:#x}")
        layout: Any = SimpleNamespace(is_value_type=handle == STRUCT, is_enum=False)
        return ResolvedType(f"T{handle:x}", ElementType.VALUE_TYPE if handle == STRUCT else ElementType.CLASS, None, layout=layout)

    monkeypatch.setattr(protected_values, "leaves_of", lambda _kind: LEAVES)
    return SimpleNamespace(resolve_handle=resolve)


def told(references: Sequence[Reference]) -> list[tuple[int, int, bool]]:
    return [(one.address, one.value, one.interior) for one in references]


def value_frame(toy: ToyProcess, *values: tuple[int, int]) -> int:
    """A ProtectValueClassFrame with (MethodTable, address) of each value."""
    following = 0
    for method_table, data in reversed(values):
        following = toy.structure("ValueClassInfo", 32, Next=following, MethodTable=method_table, Data=data)
    return toy.structure("ProtectValueClassFrame", 32, ValueClassInfoList=following)


@pytest.mark.parametrize("version", VERSIONS)
def test_references_inside_of_copied_values(version: str, types: Any) -> None:
    toy = ToyProcess(version)
    first, second = toy.words(0x7000, 5, 0x7108, 0), toy.words(0, 0, 0, 0x7200)
    frame = value_frame(toy, (STRUCT, first), (STRUCT, second))
    found = protected_values.value_references(toy.memory, toy.layout, types, frame)
    assert told(found) == [(first, 0x7000, False), (first + 16, 0x7108, True), (second + 24, 0x7200, False)]
    assert protected_values.value_references(toy.memory, toy.layout, types, value_frame(toy)) == []


def test_a_value_of_a_class_is_none(types: Any) -> None:
    toy = ToyProcess("8.0")
    with pytest.raises(Malformed, match="no value type"):
        protected_values.value_references(toy.memory, toy.layout, types, value_frame(toy, (CLASS, toy.words(1))))
    with pytest.raises(Malformed, match="no MethodTable"):
        protected_values.value_references(toy.memory, toy.layout, types, value_frame(toy, (STRUCT + 8, toy.words(1))))


def test_a_list_in_a_circle_ends(types: Any) -> None:
    toy = ToyProcess("8.0")
    frame = value_frame(toy, (STRUCT, toy.words(0, 0, 0, 0)))
    info = toy.memory.pointer(frame + 16)
    toy.fill(info, "ValueClassInfo", Next=info)
    with pytest.raises(LimitExceeded):
        protected_values.value_references(toy.memory, toy.layout, types, frame)


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_what_a_debugger_passes(version: str, types: Any) -> None:
    """A struct, an object, null, and an integer, each in the list's element itself."""
    toy = ToyProcess(version)
    following, places = 0, []
    for element_type, handle, data in (
        (ElementType.I4, 0, [0x7000]),
        (ElementType.CLASS, CLASS, [0]),
        (ElementType.CLASS, CLASS, [0x7300]),
        (ElementType.VALUE_TYPE, STRUCT, [0x7400, 1, 0, 0x7500]),
    ):
        following = toy.structure("ByRefInfo", 64, Next=following, TypeHandle=handle)
        toy.put(following + toy.layout.offset("ByRefInfo", "ElementType"), element_type, 1)
        places.append(following + toy.layout.offset("ByRefInfo", "Data"))
        toy.image.write(places[-1], pack(f"<{len(data)}Q", *data))
    frame = toy.structure("ProtectByRefsFrame", 32, ByRefInfoList=following)
    found = protected_values.by_ref_references(toy.memory, toy.layout, types, frame)
    assert told(found) == [(places[3], 0x7400, False), (places[3] + 24, 0x7500, False), (places[2], 0x7300, False)]


def methods() -> Any:
    """One module, whose signatures have strings, integers and type parameters."""

    def resolve(node: Any, _module: Any, arguments: Any, method_arguments: Any) -> ResolvedType:
        if hasattr(node, "number"):
            return ([*arguments, *method_arguments])[node.number]  # type: ignore[no-any-return]
        return ResolvedType(node.name, node.element_type, None)

    types = SimpleNamespace(
        signatures=SimpleNamespace(resolve=resolve),
        module_at=lambda address: SimpleNamespace(name="Zoo") if address == MODULE else None,
        resolve_handle=lambda handle: ResolvedType(f"T{handle:x}", ElementType.CLASS, None),
    )
    return SimpleNamespace(types=types)


def call(toy: ToyProcess, signature: bytes, module: int = MODULE, arguments: tuple[int, ...] = (), size: int | None = None) -> int:
    """A PInvokeCalliFrame of a call with that signature."""
    cookie = toy.structure("VASigCookie", 96, Module=module)
    text = toy.allocate(64)
    toy.image.write(text, signature)
    field = cookie + toy.layout.offset("VASigCookie", "Signature")
    toy.image.write(field, pack("<QI", text, len(signature) if size is None else size))
    if arguments:
        toy.image.write(cookie + toy.layout.offset("VASigCookie", "ClassInst"), pack("<QI", toy.words(*arguments), len(arguments)))
    return toy.structure("PInvokeCalliFrame", 48, VASigCookiePtr=cookie)


def references(toy: ToyProcess, frame: int, block: int) -> list[tuple[int, int, bool]]:
    return told(unmanaged_call.unmanaged_call_references(toy.memory, toy.layout, methods(), "x64", frame, block))


@pytest.mark.parametrize("version", VERSIONS)
def test_arguments_by_the_signature_of_the_call_site(version: str) -> None:
    """int (string, int, string, double, string): the first registers are rdi, rsi, rdx, rcx."""
    toy = ToyProcess(version)
    block = toy.words(0x7000, 0x7100, 0x7200, 0x7300, *[0] * 20)
    assert references(toy, call(toy, b"\x01\x05\x08\x0e\x08\x0e\x0d\x0e"), block) == [
        (block, 0x7000, False),
        (block + 16, 0x7200, False),
        (block + 24, 0x7300, False),
    ]
    assert references(toy, call(toy, b""), block) == []


def test_type_parameters_of_the_call_site() -> None:
    toy = ToyProcess("10.0")
    block = toy.words(0x7000, 0x7100, *[0] * 20)
    assert references(toy, call(toy, b"\x01\x02\x01\x08\x13\x00", arguments=(CLASS,)), block) == [(block + 8, 0x7100, False)]


def test_call_sites_that_make_no_sense() -> None:
    toy = ToyProcess("9.0")
    block = toy.words(*[0] * 24)
    with pytest.raises(Malformed, match="not loaded"):
        references(toy, call(toy, b"\x01\x00\x01", module=MODULE + 8), block)
    with pytest.raises(LimitExceeded):
        references(toy, call(toy, b"\x01\x00\x01", size=LIMITS.method_signature_bytes + 1), block)
    with pytest.raises(Malformed):
        references(toy, call(toy, b"\x01\x05\x01"), block)
