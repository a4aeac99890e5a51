"""Places of variables: every form decoded, found in a frame, read out of registers; and random bytes."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.stacks.debug_info import Patchpoints, read_variables_data
from heaphound.runtime.stacks.frame import FrameCode, ManagedFrame
from heaphound.runtime.stacks.native_variables import NativeVariable, decode_variables
from heaphound.runtime.stacks.register_memory import REGISTERS_START, RegisterMemory
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.variable_places import place_of, word_of
from tests.unit.runtime.stacks.test_debug_info import nibble_bounds, nibbles, reader
from tests.unit.runtime.written_memory import written_memory

STACK = 0x7F00_0000_1000
RBX, RBP, R12, XMM0 = 3, 5, 12, 16


def signed(value: int) -> int:
    return -value << 1 | 1 if value < 0 else value << 1


FORMS = [
    (NativeVariable(0, 0, 20, "register", (RBX,)), [0, 20, 4, 0, RBX]),
    (NativeVariable(1, 4, 300, "address in a register", (R12,)), [4, 296, 5, 1, R12]),
    (NativeVariable(2, 0, 9, "floating-point register", (XMM0,)), [0, 9, 6, 2, XMM0]),
    (NativeVariable(3, 0, 9, "stack", (), RBP, -24), [0, 9, 7, 3, RBP, signed(-24)]),
    (NativeVariable(4, 0, 9, "address on the stack", (), RBP, 16), [0, 9, 8, 4, RBP, signed(16)]),
    (NativeVariable(5, 0, 9, "two registers", (RBX, R12)), [0, 9, 9, 5, RBX, R12]),
    (NativeVariable(6, 0, 9, "register and stack", (RBX,), RBP, -8), [0, 9, 10, 6, RBX, RBP, signed(-8)]),
    (NativeVariable(7, 0, 9, "stack and register", (RBX,), RBP, -8), [0, 9, 11, 7, signed(-8), RBP, RBX]),
    (NativeVariable(8, 0, 9, "two stack slots", (), RBP, -16), [0, 9, 12, 8, RBP, signed(-16)]),
    (NativeVariable(9, 0, 9, "variable argument", (), None, 48), [0, 9, 13, 10, 48]),
    (NativeVariable(-3, 0, 9, "stack", (), RBP, -16), [0, 9, 1, 3, RBP, signed(-16)]),
]


def test_every_form() -> None:
    data = nibbles(len(FORMS), *(number for _, numbers in FORMS for number in numbers))
    assert decode_variables(data) == tuple(variable for variable, _ in FORMS)


@pytest.mark.parametrize("patchpoints", [None, Patchpoints(32, 8)])
def test_they_follow_the_il_map(patchpoints: Patchpoints | None) -> None:
    bounds, variables = nibble_bounds([(0, 0)]), nibbles(1, *FORMS[0][1])
    data = (b"\0" if patchpoints else b"") + nibbles(len(bounds), len(variables)) + bounds + variables
    assert read_variables_data(reader(data), "nibbles", patchpoints) == variables


def test_an_instrumented_method_has_a_second_map_between() -> None:
    variables = nibbles(1, *FORMS[0][1])
    data = nibbles(0, 2, 3, len(variables)) + b"abXYZ" + variables
    assert read_variables_data(reader(data), "packed", None) == variables


def test_none() -> None:
    assert read_variables_data(reader(nibbles(0, 0)), "nibbles", None) == b""
    assert decode_variables(b"") == ()


def test_a_count_that_cannot_be() -> None:
    with pytest.raises(LimitExceeded):
        decode_variables(nibbles(1 << 30))
    with pytest.raises(Malformed):
        decode_variables(nibbles(1, 0, 9, 4, 11))


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes(data: bytes) -> None:
    with suppress(Malformed, Unreadable, LimitExceeded):
        decode_variables(data)


def frame() -> ManagedFrame:
    code = FrameCode("jit", 0x1000, 0x1000, 0x2000, 0, 0, 0, None, None)
    values = {"rip": 0x1100, "rsp": STACK, "rbp": STACK + 0x40, "rbx": 0x1122334455667788, "r12": STACK + 8}
    return ManagedFrame(code, RegisterContext("x64", values, {"rbx": STACK + 0x60}), None, active=True)


def memory() -> Memory:
    image, found = written_memory()
    words = [0] * 16
    words[1], words[5], words[7], words[10] = 0xAAAA, 0xBBBB, 0xCCCC, STACK + 8
    image.words(STACK, *words)
    return found


@pytest.mark.parametrize(
    ("variable", "words", "address", "word"),
    [
        (FORMS[0][0], "rbx", STACK + 0x60, 0),
        (FORMS[1][0], "[r12]", STACK + 8, 0xAAAA),
        (FORMS[3][0], "[rbp-0x18]", STACK + 0x28, 0xBBBB),
        (FORMS[4][0], "[[rbp+0x10]]", STACK + 8, 0xAAAA),
        (FORMS[5][0], "rbx:r12", None, 0x1122334455667788),
        (FORMS[6][0], "rbx:[rbp-0x8]", None, 0x1122334455667788),
        (FORMS[7][0], "[rbp-0x8]:rbx", None, 0xCCCC),
        (FORMS[8][0], "[rbp-0x10]", STACK + 0x30, 0),
    ],
)
def test_places(variable: NativeVariable, words: str, address: int | None, word: int) -> None:
    place = place_of(memory(), frame(), variable)
    assert (place.words, place.address) == (words, address)
    assert word_of(memory(), frame(), variable) == word


@pytest.mark.parametrize(
    "variable", [FORMS[2][0], FORMS[9][0], NativeVariable(0, 0, 9, "register", (0,)), NativeVariable(0, 0, 9, "register", (40,))]
)
def test_places_that_a_frame_does_not_know(variable: NativeVariable) -> None:
    with pytest.raises(Malformed):
        place_of(memory(), frame(), variable)


def test_registers_read_as_memory() -> None:
    registers = RegisterMemory(memory(), bytes(range(1, 17)))
    assert registers.u8(REGISTERS_START) == 1
    assert registers.u16(REGISTERS_START) == 0x0201
    assert registers.u32(REGISTERS_START + 4) == 0x08070605
    assert registers.i32(REGISTERS_START) == 0x04030201
    assert registers.pointer(REGISTERS_START + 8) == 0x100F0E0D0C0B0A09
    assert registers.bytes(REGISTERS_START, 16) == bytes(range(1, 17))
    assert registers.pointer(STACK + 8) == 0xAAAA
    assert registers.bytes(STACK + 8, 2) == b"\xaa\xaa"
    assert [registers.u8(STACK + 8), registers.u16(STACK + 8), registers.u32(STACK + 8), registers.i32(STACK + 8)] == [0xAA, *[0xAAAA] * 3]
    with pytest.raises(Unreadable):
        registers.pointer(REGISTERS_START + 9)
