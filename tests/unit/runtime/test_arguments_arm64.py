"""Places of arguments by the convention of arm64."""

import pytest

from heaphound.runtime.arguments.aapcs64 import Arm64Arguments, vector_registers
from heaphound.runtime.arguments.places import ArgumentKind, Piece
from heaphound.runtime.element_types import ElementType
from tests.unit.runtime.test_arguments import DOUBLE, FLOATS, INTEGER, LARGE, MIXED, OBJECT, PAIR, struct

REGISTERS, STACK = 112, 176
FLOAT, INTEGERS, DOUBLES, VECTOR = ElementType.R4, ElementType.I8, ElementType.R8, ElementType.VALUE_TYPE


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (OBJECT, 0),
        (DOUBLE, 1),
        (FLOATS, 3),
        (MIXED, 0),
        (struct(*((8 * index, DOUBLES, 8) for index in range(4))), 4),
        (struct(*((8 * index, DOUBLES, 8) for index in range(5))), 0),
        (struct((0, FLOAT, 4), (8, DOUBLES, 8)), 0),
        (struct((0, FLOAT, 4), size=8), 0),  # room behind it that no field fills
        (struct((0, FLOAT, 4), (0, FLOAT, 4)), 0),  # two fields in one place
        (struct((0, VECTOR, 16)), 1),
        (struct((0, VECTOR, 8)), 1),
        (struct((0, VECTOR, 16), (16, VECTOR, 16)), 2),
        (struct((0, VECTOR, 8), (8, VECTOR, 16)), 0),
        (struct((0, VECTOR, 32)), 0),  # not of this machine
        (struct((0, VECTOR, 16), (16, DOUBLES, 8)), 0),
        (
            struct(*((8 * index, INTEGERS, 8) for index in range(4)), name="System.Runtime.Intrinsics.Vector256<System.Byte>"),
            0,
        ),  # up to 6.0
        (ArgumentKind("Empty", ElementType.VALUE_TYPE, 1, ()), 0),
    ],
)
def test_what_goes_into_vector_registers(kind: ArgumentKind, count: int) -> None:
    assert vector_registers(kind) == count


def test_registers_then_the_stack() -> None:
    places = Arm64Arguments(REGISTERS, STACK)
    assert [places.result_buffer(kind) for kind in (LARGE, PAIR, FLOATS, OBJECT)] == [REGISTERS - 8, None, None, None]  # x8
    assert places.hidden() == REGISTERS
    found = [places.place(kind) for kind in (OBJECT, DOUBLE, INTEGER, OBJECT, OBJECT, OBJECT, OBJECT, OBJECT, INTEGER, OBJECT)]
    assert found == [
        (Piece(REGISTERS + 8, 0, 8),),
        (),
        *((Piece(REGISTERS + 8 * number, 0, 8),) for number in range(2, 8)),
        *((Piece(STACK + 8 * number, 0, 8),) for number in range(2)),
    ]


def test_a_struct_that_does_not_fit_sends_all_that_follow_to_the_stack() -> None:
    places = Arm64Arguments(REGISTERS, STACK)
    for _ in range(7):
        places.place(INTEGER)
    assert [places.place(kind) for kind in (PAIR, OBJECT)] == [(Piece(STACK, 0, 16),), (Piece(STACK + 16, 0, 8),)]


def test_small_structs_lie_whole_in_registers_and_large_ones_elsewhere() -> None:
    places = Arm64Arguments(REGISTERS, STACK)
    found = [places.place(kind) for kind in (PAIR, MIXED, LARGE, OBJECT)]
    assert found == [
        (Piece(REGISTERS, 0, 16),),
        (Piece(REGISTERS + 16, 0, 16),),
        (Piece(REGISTERS + 32, 0, 8, by_reference=True),),
        (Piece(REGISTERS + 40, 0, 8),),
    ]


def test_floats_that_do_not_fit_are_on_the_stack_whole() -> None:
    places = Arm64Arguments(REGISTERS, STACK)
    assert [places.place(kind) for kind in (*[DOUBLE] * 6, FLOATS, DOUBLE, struct((0, ElementType.OBJECT, 8)))][6:] == [
        (),
        (),
        (Piece(REGISTERS, 0, 8),),
    ]
    general = [places.place(OBJECT) for _ in range(8)]
    assert general[-1] == (Piece(STACK + 16 + 8, 0, 8),)  # behind three floats in two words, and a double
