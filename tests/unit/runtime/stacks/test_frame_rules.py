"""Rules kept for a return address against undoing the frame step by step: the same registers, the same errors."""

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.frame_rules import FrameRules
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.unwinding import unwind_frame
from tests.unit.runtime.stacks.test_unwind_x64 import (
    ALLOC_LARGE,
    ALLOC_SMALL,
    BASE,
    CODE,
    INFO,
    MACHINE,
    PUSH,
    RETURN,
    SAVE,
    SET_FRAME,
    STACK,
    at,
    code,
    info,
    process,
)
from tests.unit.runtime.written_memory import WrittenImage

PIECE = FrameCode("jit", CODE, CODE, CODE + 256, BASE, INFO, 0, None, None)
CALLEE_SAVED = (3, 5, 12, 13, 14, 15)


class CountingImage(WrittenImage):
    """Counts reads of unwind information."""

    decoded = 0

    def read(self, address: int, size: int) -> bytes:
        self.decoded += INFO <= address < INFO + 256
        return super().read(address, size)


def told(rules: FrameRules | None, memory: Memory, context: RegisterContext) -> RegisterContext | str:
    try:
        if rules is not None:
            return rules.caller(context, PIECE, active=False)
        return unwind_frame(memory, context, PIECE, active=False)
    except (Unreadable, Malformed) as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(CALLEE_SAVED), max_size=6, unique=True),
    st.integers(0, 15),
    st.integers(0, 15) | st.none(),
    st.lists(st.integers(1, 1 << 48), min_size=40, max_size=40),
    st.lists(st.tuples(st.integers(-2, 30), st.integers(-1, 30)), min_size=1, max_size=4),
)
def test_rules_give_what_the_steps_give(
    pushed: list[int], words: int, frame: int | None, stack: list[int], places: list[tuple[int, int]]
) -> None:
    """Functions with and without a frame pointer, met several times at other places of the stack."""
    codes = [code(9, ALLOC_SMALL, words), *(code(5, PUSH, register) for register in pushed)]
    if frame is not None:
        codes.insert(0, code(12, SET_FRAME))
    _, memory = process(info(*codes, prolog=12, frame=0 if frame is None else 5 | frame << 4), *stack)
    rules = FrameRules(memory, "x64")
    for sp, rbp in places:
        context = at(sp=STACK + 8 * sp, rbp=STACK + 8 * rbp, r12=0x12, r13=0x13)
        plain = RegisterContext("x64", {name: value for name, value in context.values.items() if name != "rax"}, {"rbx": 0x77, "r14": 0x88})
        for one in (context, plain):
            assert told(rules, memory, one) == told(None, memory, one)


def test_a_repeated_frame_is_decoded_once() -> None:
    image = CountingImage()
    image.write(CODE, b"\x90" * 256)
    image.write(INFO, info(code(5, ALLOC_SMALL, 1), code(1, PUSH, 5), prolog=5).ljust(256, b"\0"))
    image.write(STACK, pack("<4Q", 0, 0, 0xB5, CODE + 40) * 50)
    memory = Memory(image)  # type: ignore[arg-type]  # the methods that Memory calls are there
    rules = FrameRules(memory, "x64")
    context = RegisterContext("x64", {"rip": CODE + 40, "rsp": STACK, "rbp": 1})
    for index in range(1, 50):
        context = rules.caller(context, PIECE, active=False)
        assert (context.ip, context.sp, dict(context.saved_at)) == (CODE + 40, STACK + 32 * index, {"rbp": STACK + 32 * index - 16})
    assert image.decoded <= 2


@pytest.mark.parametrize(
    "codes",
    [
        [code(5, MACHINE)],
        [code(9, SAVE, 3, 1), code(5, ALLOC_LARGE, 1, 0, 1)],  # saved 64 KB below the return address
    ],
)
def test_what_no_rule_can_say_is_undone_step_by_step(codes: list[bytes]) -> None:
    image, memory = process(info(*codes, prolog=9), 0x1111, 0x2222)
    image.write(STACK + 0x10000, pack("<2Q", RETURN, 0))
    context = at()
    rules = FrameRules(memory, "x64")
    assert told(rules, memory, context) == told(None, memory, context)
    assert told(rules, memory, context) == told(None, memory, context)


def test_an_active_frame_is_no_call() -> None:
    _, memory = process(info(code(4, ALLOC_SMALL, 0), prolog=4), RETURN, RETURN + 1)
    rules = FrameRules(memory, "x64")
    assert rules.caller(at(2), PIECE, active=True).sp == STACK + 8
    assert rules.caller(at(2), PIECE, active=False).sp == STACK + 16
