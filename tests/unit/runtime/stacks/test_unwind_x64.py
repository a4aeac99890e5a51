"""Unwind information by hand: every code, prologues, chained pieces, frame registers, and random bytes."""

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.unwind_x64 import read_unwind_info, unwind
from tests.unit.runtime.written_memory import WrittenImage, written_memory

BASE, CODE, INFO, STACK = 0x7F0000000000, 0x7F0000001000, 0x7F0000008000, 0x7FFC00000000
RETURN = 0x7F0000001234
PUSH, ALLOC_LARGE, ALLOC_SMALL, SET_FRAME, SAVE, SAVE_FAR, MACHINE, SET_FRAME_LARGE = 0, 1, 2, 3, 4, 5, 10, 11
RBX, RBP, R12 = 3, 5, 12


def code(offset: int, operation: int, info: int = 0, *more: int) -> bytes:
    return pack(f"<BB{len(more)}H", offset, operation | info << 4, *more)


def info(*codes: bytes, prolog: int = 0, frame: int = 0, flags: int = 0, tail: bytes = b"") -> bytes:
    joined = b"".join(codes)
    slots = len(joined) // 2
    return bytes([1 | flags << 3, prolog, slots, frame]) + joined + bytes(slots % 2 * 2) + tail


def process(unwind_info: bytes, *stack: int, instructions: bytes = b"\x90" * 64) -> tuple[WrittenImage, Memory]:
    image, memory = written_memory()
    image.write(CODE, instructions.ljust(256, b"\x90"))
    image.write(INFO, unwind_info.ljust(256, b"\0"))
    image.write(STACK, pack(f"<{len(stack)}Q", *stack) + bytes(512))
    return image, memory


def at(offset: int = 40, sp: int = STACK, **registers: int) -> RegisterContext:
    return RegisterContext("x64", {"rip": CODE + offset, "rsp": sp, "rbp": 0x5555, "rbx": 0x3333, "rax": 1, **registers})


def caller(memory: Memory, context: RegisterContext, active: bool = False) -> RegisterContext:
    return unwind(memory, context, BASE, CODE, INFO, active)


def test_a_leaf_has_only_its_return_address() -> None:
    _, memory = process(info(), RETURN)
    found = caller(memory, at())
    assert (found.ip, found.sp, found.value("rbp")) == (RETURN, STACK + 8, 0x5555)
    with pytest.raises(Malformed, match="rax is not known"):
        found.value("rax")


def test_pushes_and_allocations() -> None:
    codes = [code(12, ALLOC_SMALL, 1), code(5, PUSH, R12), code(3, PUSH, RBX), code(1, PUSH, RBP)]
    _, memory = process(info(*codes, prolog=12), 0, 0, 0xC12, 0xB3, 0xB5, RETURN)
    found = caller(memory, at())
    assert (found.ip, found.sp) == (RETURN, STACK + 48)
    assert {name: found.value(name) for name in ("r12", "rbx", "rbp")} == {"r12": 0xC12, "rbx": 0xB3, "rbp": 0xB5}
    assert dict(found.saved_at) == {"r12": STACK + 16, "rbx": STACK + 24, "rbp": STACK + 32}


@pytest.mark.parametrize(("large", "size"), [(code(8, ALLOC_LARGE, 0, 0x20), 0x100), (code(8, ALLOC_LARGE, 1, 0x100, 0), 0x100)])
def test_large_allocations(large: bytes, size: int) -> None:
    image, memory = process(info(large, prolog=8))
    image.words(STACK + size, RETURN)
    assert caller(memory, at()).sp == STACK + size + 8


@pytest.mark.parametrize(
    ("position", "sp", "wanted"),
    [(0, STACK + 24, STACK + 32), (1, STACK + 16, STACK + 32), (4, STACK + 8, STACK + 32), (8, STACK, STACK + 32)],
)
def test_in_the_prologue_only_what_ran_is_undone(position: int, sp: int, wanted: int) -> None:
    codes = [code(8, ALLOC_SMALL, 0), code(4, PUSH, RBX), code(1, PUSH, RBP)]
    _, memory = process(info(*codes, prolog=9), 0, 0xB3, 0xB5, RETURN)
    found = caller(memory, at(position, sp), active=True)
    assert (found.ip, found.sp) == (RETURN, wanted)


def test_a_return_address_is_never_in_the_prologue() -> None:
    _, memory = process(info(code(1, PUSH, RBP), prolog=4), 0xB5, RETURN)
    assert caller(memory, at(0)).value("rbp") == 0xB5


def test_a_frame_register_stands_for_the_stack_pointer() -> None:
    codes = [code(8, SET_FRAME), code(4, ALLOC_SMALL, 3), code(1, PUSH, RBP)]
    _, memory = process(info(*codes, prolog=8, frame=RBP | 1 << 4), 0, 0, 0, 0, 0xB5, RETURN)
    found = caller(memory, at(sp=STACK - 4096, rbp=STACK + 16))  # stackalloc moved rsp far down
    assert (found.ip, found.sp, found.value("rbp")) == (RETURN, STACK + 48, 0xB5)


def test_a_frame_register_far_from_the_frame() -> None:
    codes = [code(8, SET_FRAME_LARGE, 0, 0x10, 0), code(1, PUSH, RBP)]
    _, memory = process(info(*codes, prolog=8, frame=RBP | 15 << 4), 0xB5, RETURN)
    assert caller(memory, at(rbp=STACK + 0x100)).sp == STACK + 16


def test_registers_saved_by_moves() -> None:
    codes = [code(9, SAVE_FAR, R12, 16, 0), code(6, SAVE, RBX, 1), code(4, ALLOC_SMALL, 2)]
    _, memory = process(info(*codes, prolog=9), 0, 0xB3, 0xC12, RETURN)
    found = caller(memory, at())
    assert (found.value("rbx"), found.value("r12"), found.ip) == (0xB3, 0xC12, RETURN)


@pytest.mark.parametrize("error_code", [0, 1])
def test_a_machine_frame_has_its_own_stack_pointer(error_code: int) -> None:
    frame = [0xE] * error_code + [RETURN, 0x33, 0x246, STACK + 0x100, 0x2B]
    _, memory = process(info(code(0, MACHINE, error_code)), *frame)
    found = caller(memory, at())
    assert (found.ip, found.sp) == (RETURN, STACK + 0x100)


def test_chained_information_goes_on_in_the_parent() -> None:
    parent = INFO + 0x40
    image, memory = process(
        info(code(4, ALLOC_SMALL, 0), prolog=4, flags=4, tail=pack("<III", 0x1000, 0x1100, parent - BASE)).ljust(0x40, b"\0")
        + info(code(1, PUSH, RBX), prolog=1),
        0,
        0xB3,
        RETURN,
    )
    found = caller(memory, at())
    assert (found.ip, found.value("rbx")) == (RETURN, 0xB3)
    image.write(parent, info(flags=4, tail=pack("<III", 0x1000, 0x1100, parent - BASE)))
    with pytest.raises(LimitExceeded, match="chained"):
        caller(memory, at())


@pytest.mark.parametrize(
    ("unwind_info", "reason"),
    [
        (bytes([3, 0, 0, 0]), "version 3"),
        (info(code(1, 13)), "does not exist"),
        (info(code(1, ALLOC_LARGE, 2)), "does not exist"),
        (info(code(1, SAVE, RBX)), "cut short"),
        (info(code(1, SET_FRAME)), "names none"),
    ],
)
def test_what_makes_no_sense_is_refused(unwind_info: bytes, reason: str) -> None:
    _, memory = process(unwind_info, RETURN)
    with pytest.raises(Malformed, match=reason):
        caller(memory, at())


def test_a_stack_pointer_that_goes_down_is_refused() -> None:
    _, memory = process(info(code(1, SET_FRAME), prolog=1, frame=RBP), RETURN)
    with pytest.raises(Malformed, match="not up"):
        caller(memory, at(sp=STACK + 64, rbp=STACK))


EPILOGUES = {
    "ret": ("c3", STACK, 0),
    "rep ret": ("f3c3", STACK, 0),
    "pop rbp, ret": ("5dc3", STACK, 1),
    "add rsp imm8, pop, ret": ("4883c4105dc3", STACK, 3),
    "add rsp imm32, pop, ret": ("4881c4100000005dc3", STACK, 3),
    "lea rsp, pop, ret": ("488d65f05dc3", STACK - 4096, 3),
    "tail jump through memory": ("5dff2500000000", STACK, 1),
    "tail jump through rax": ("5d48ffe0", STACK, 1),
}


@pytest.mark.parametrize("name", EPILOGUES)
def test_an_epilogue_is_run_to_its_end(name: str) -> None:
    instructions, sp, words = EPILOGUES[name]
    codes = [code(8, SET_FRAME), code(4, ALLOC_SMALL, 1), code(1, PUSH, RBP)]
    _, memory = process(
        info(*codes, prolog=8, frame=RBP),
        *[0xB5] * words,
        RETURN,
        instructions=b"\x90" * 40 + bytes.fromhex(instructions),
    )
    found = caller(memory, at(40, sp, rbp=STACK + 32), active=True)
    assert (found.ip, found.sp) == (RETURN, STACK + 8 * words + 8)


def test_the_same_instructions_behind_a_call_are_no_epilogue() -> None:
    _, memory = process(info(code(1, PUSH, RBX), prolog=1), 0xB3, RETURN, instructions=b"\x90" * 40 + b"\xc3")
    assert caller(memory, at(40)).ip == RETURN


@settings(max_examples=300)
@given(st.binary(min_size=4, max_size=64), st.binary(max_size=96), st.booleans(), st.integers(0, 60))
def test_any_bytes_end_in_a_caller_or_an_error(unwind_info: bytes, stack: bytes, active: bool, offset: int) -> None:
    image, memory = written_memory()
    image.write(CODE, stack.ljust(64, b"\xc3"))
    image.write(INFO, unwind_info)
    image.write(STACK, stack)
    with suppress(Unreadable, Malformed):
        read_unwind_info(memory, INFO)
    with suppress(Unreadable, Malformed):
        assert caller(memory, at(offset), active).sp > STACK
