"""Parts of reading objects that need no type system: names of elements, enums, literals, task states, array names."""

from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.errors import Malformed, Unreadable
from heaphound.layouts.load import layout_file
from heaphound.runtime.arrays import ArrayShape
from heaphound.runtime.descriptions import task_state
from heaphound.runtime.enums import EnumNames
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.literals import literal_value
from heaphound.runtime.metadata.rows import Constant
from heaphound.runtime.strings import Strings
from heaphound.runtime.type_names import array_name, function_pointer_name, generic_name
from heaphound.runtime.value_sizes import value_bytes
from tests.unit.runtime.written_memory import written_memory

INT = ResolvedType("System.Int32", 8, None)


@pytest.mark.parametrize(
    ("lengths", "lower_bounds", "names"),
    [
        ((3,), (0,), ["[0]", "[1]", "[2]"]),
        ((2,), (5,), ["[5]", "[6]"]),
        ((2, 2), (0, 0), ["[0,0]", "[0,1]", "[1,0]", "[1,1]"]),
        ((2, 1, 2), (1, -1, 0), ["[1,-1,0]", "[1,-1,1]", "[2,-1,0]", "[2,-1,1]"]),
    ],
)
def test_names_of_elements(lengths: tuple[int, ...], lower_bounds: tuple[int, ...], names: list[str]) -> None:
    shape = ArrayShape(len(names), lengths, lower_bounds, 0x1000, 4, INT)
    assert [shape.name_of(index) for index in range(len(names))] == names


def enum(members: dict[str, int], flags: bool) -> Any:
    """An enum type as EnumNames asks about it."""
    attribute = SimpleNamespace(constructor=0x0A000001, value=b"\x01\x00\x00\x00")
    metadata = SimpleNamespace(
        custom_attributes=lambda _token: [attribute] if flags else [],
        memberref=lambda _row: SimpleNamespace(parent=0x01000001),
        typeref_full_name=lambda _row: "System.FlagsAttribute",
    )
    return SimpleNamespace(method_table=id(members), literals=members, row=2, module=SimpleNamespace(metadata=metadata))


TRAITS = {"None": 0, "Fast": 1, "Loud": 2, "Both": 3, "Tame": 4, "Sign": -(1 << 31)}


@pytest.mark.parametrize(
    ("value", "name"),
    [(0, "None"), (1, "Fast"), (3, "Both"), (7, "Both, Tame"), (5, "Fast, Tame"), (8, None), (9, None), (-(1 << 31), "Sign")],
)
def test_flags_are_put_together_as_enum_to_string_does(value: int, name: str | None) -> None:
    assert EnumNames().name(enum(TRAITS, True), value) == name


def test_a_plain_enum_has_only_its_members() -> None:
    names = EnumNames()
    assert [names.name(enum(TRAITS, False), value) for value in (2, 5)] == ["Loud", None]


@pytest.mark.parametrize(
    ("element_type", "raw", "value"),
    [
        (0x02, b"\x01", 1),
        (0x04, b"\xff", -1),
        (0x07, b"\x34\x12", 0x1234),
        (0x0A, b"\xfe" + b"\xff" * 7, -2),
        (0x0B, b"\xff" * 8, (1 << 64) - 1),
        (0x0C, b"\x00\x00\xc0\x3f", 1.5),
        (0x0E, "a猫".encode("utf-16-le"), "a猫"),
        (0x12, b"\x00\x00\x00\x00", None),
    ],
)
def test_literals(element_type: int, raw: bytes, value: object) -> None:
    assert literal_value(Constant(element_type, raw)) == value


@pytest.mark.parametrize(("element_type", "raw"), [(0x08, b"\x01"), (0x15, b"\x01\x00\x00\x00"), (0x08, b"")])
def test_literals_of_the_wrong_size_or_kind(element_type: int, raw: bytes) -> None:
    with pytest.raises(Malformed, match="constant of element type"):
        literal_value(Constant(element_type, raw))


def test_names() -> None:
    assert array_name("System.Int32", 1, True) == "System.Int32[]"
    assert array_name("System.Int32", 1, False) == "System.Int32[*]"
    assert array_name("Zoo.Cat[]", 3, False) == "Zoo.Cat[][,,]"
    assert generic_name("Zoo.Outer`1+Inner`2+Plain", ["A", "B", "C"]) == "Zoo.Outer<A>+Inner<B, C>+Plain"
    assert function_pointer_name("System.Void", ["System.Int32"]) == "delegate*<System.Int32, System.Void>"


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        (0x1000000 | 0x20000, "ran to completion"),
        (0x200000, "faulted"),
        (0x400000, "canceled"),
        (0x2000000, "waiting for activation"),
        (0x10000, "waiting to run"),
        (0x400, "created"),
    ],
)
def test_task_states(flags: int, state: str) -> None:
    assert task_state(flags) == state


def test_strings() -> None:
    image, memory = written_memory()
    layout = layout_file("9.0.0", "x64", None).layout
    image.write(0x1000, bytes(8) + (3).to_bytes(4, "little") + "猫\ud83dx".encode("utf-16-le", "surrogatepass"))
    strings = Strings(memory, layout)
    assert strings.text_and_length(0x1000) == ("猫\ud83dx", 3)
    assert strings.text(0x1000, 1) == "猫"
    assert Strings(memory, layout, show_text=False).text_and_length(0x1000) == (None, 3)
    image.write(0x1008, b"\xff\xff\xff\x7f")
    with pytest.raises(Unreadable, match="more characters than a string may have"):
        strings.text(0x1000)
    image.write(0x1008, b"\xff\x00\x00\x00")
    with pytest.raises(Unreadable):
        strings.text(0x1000)


def test_sizes_of_values() -> None:
    assert value_bytes(INT) == 4
    assert value_bytes(ResolvedType("System.String", 0x0E, None)) == 8
    with pytest.raises(Malformed, match=r"layout of Zoo\.Gone"):
        value_bytes(ResolvedType("Zoo.Gone", 0x11, None))
