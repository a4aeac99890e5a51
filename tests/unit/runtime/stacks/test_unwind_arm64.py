"""Unwind data of arm64 by hand: every code, prologues, epilogues of each form, fragments, extended headers, and random bytes."""

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.runtime_functions import piece_bytes
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.unwind_arm64 import unwind
from heaphound.runtime.stacks.unwind_codes_arm64 import codes_from
from heaphound.runtime.stacks.unwind_data_arm64 import piece_size, read_unwind_data
from tests.unit.runtime.written_memory import WrittenImage, written_memory

BASE, CODE, INFO, STACK = 0x7F0000000000, 0x7F0000001000, 0x7F0000008000, 0x7FFC00000000
RETURN, SIGNED = 0x7F0000001234, 0x00D5_7F00_0000_1234
END, END_CHAINED, SET_FP, NOP, SAVE_NEXT = b"\xe4", b"\xe5", b"\xe1", b"\xe3", b"\xe6"
STP_FP_LR = b"\x83"  # stp fp, lr, [sp, #-32]!
WORDS = 64  # of code


def record(*codes: bytes, epilogs: tuple[tuple[int, int], ...] = (), at_end: int | None = None, extended: bool = False) -> bytes:
    """An .xdata record with a personality routine, as the runtime writes them."""
    joined = b"".join(codes)
    joined += bytes(-len(joined) % 4)
    words, count = len(joined) // 4, len(epilogs) if at_end is None else at_end
    header = WORDS | 1 << 20 | (at_end is not None) << 21
    head = pack("<II", header, count | words << 16) if extended else pack("<I", header | count << 22 | words << 27)
    return head + b"".join(pack("<I", start | index << 22) for start, index in epilogs) + joined + pack("<I", 0xABCD)


def process(unwind_data: bytes, *stack: int) -> tuple[WrittenImage, Memory]:
    image, memory = written_memory()
    image.write(INFO, unwind_data.ljust(256, b"\0"))
    image.write(STACK, pack(f"<{len(stack)}Q", *stack) + bytes(512))
    return image, memory


def at(position: int = 20, sp: int = STACK, **registers: int) -> RegisterContext:
    known = {"pc": CODE + 4 * position, "sp": sp, "fp": 0x5555, "lr": RETURN, "x19": 0x1919, "x0": 1, **registers}
    return RegisterContext("arm64", known)


def caller(memory: Memory, context: RegisterContext, unwind_info: int = INFO) -> RegisterContext:
    return unwind(memory, context, BASE, CODE, unwind_info)


def test_a_leaf_returns_by_its_link_register() -> None:
    _, memory = process(record(END))
    found = caller(memory, at())
    assert (found.ip, found.sp, found.value("fp")) == (RETURN, STACK, 0x5555)
    with pytest.raises(Malformed, match="x0 is not known"):
        found.value("x0")


CODES = {  # name: bytes, stack pointer after it, registers with the word of the stack each comes from
    "alloc_s": (b"\x03", 48, {}),
    "alloc_m": (b"\xc1\x02", 16 * 0x102, {}),
    "alloc_l": (b"\xe0\x00\x01\x02", 16 * 0x102, {}),
    "save_r19r20_x": (b"\x24", 32, {"x19": 0, "x20": 1}),
    "save_fplr": (b"\x42", 0, {"fp": 2, "lr": 3}),
    "save_fplr_x": (b"\x83", 32, {"fp": 0, "lr": 1}),
    "save_regp": (b"\xc8\x84", 0, {"x21": 4, "x22": 5}),
    "save_regp, high": (b"\xc9\xc2", 0, {"x26": 2, "x27": 3}),
    "save_regp_x": (b"\xcc\x83", 32, {"x21": 0, "x22": 1}),
    "save_reg": (b"\xd2\x44", 0, {"x28": 4}),
    "save_reg_x": (b"\xd5\x23", 32, {"x28": 0}),
    "save_lrpair": (b"\xd6\x84", 0, {"x23": 4, "lr": 5}),
    "save_fregp": (b"\xd8\x44", 0, {}),
    "save_fregp_x": (b"\xda\x43", 32, {}),
    "save_freg": (b"\xdc\x44", 0, {}),
    "save_freg_x": (b"\xde\x43", 32, {}),
    "save_any_reg": (b"\xe7\x13\x04", 0, {"x19": 4}),
    "save_any_reg, pair": (b"\xe7\x53\x02", 0, {"x19": 4, "x20": 5}),
    "save_any_reg, pair_x": (b"\xe7\x73\x01", 32, {"x19": 0, "x20": 1}),
    "save_any_reg, d": (b"\xe7\x68\x41", 32, {}),
    "save_any_reg, q": (b"\xe7\x28\x81", 32, {}),
    "save_next": (SAVE_NEXT + SAVE_NEXT + b"\xcc\x05", 48, {f"x{19 + n}": n for n in range(6)}),
    "save_next after an offset": (SAVE_NEXT + b"\xc8\x02", 0, {f"x{19 + n}": 2 + n for n in range(4)}),
    "save_next of vectors": (SAVE_NEXT + b"\xda\x03", 32, {}),
    "nop": (NOP, 0, {}),
    "pac_sign_lr": (b"\xfc", 0, {}),
    "reserved, two bytes": (b"\xf8\x01", 0, {}),
    "reserved, five bytes": (b"\xfb\x01\x02\x03\x04", 0, {}),
}


@pytest.mark.parametrize("name", CODES)
def test_every_code(name: str) -> None:
    code, moved, restored = CODES[name]
    image, memory = process(record(code, END), *range(0x700, 0x710))
    image.write(STACK + 0x1000, bytes(8))
    found = caller(memory, at())
    assert (found.sp, dict(found.saved_at)) == (STACK + moved, {name: STACK + 8 * word for name, word in restored.items()})
    assert all(found.value(name) == 0x700 + word for name, word in restored.items() if name != "lr")
    assert found.ip == (0x700 + restored["lr"] if "lr" in restored else RETURN)


def test_a_signed_return_address_is_stripped() -> None:
    _, memory = process(record(STP_FP_LR, b"\xfc", END), 0xF9, SIGNED)
    assert caller(memory, at()).ip == RETURN


@pytest.mark.parametrize(("code", "offset"), [(SET_FP, 0), (b"\xe2\x06", 48)])
def test_the_frame_pointer_stands_for_the_stack_pointer(code: bytes, offset: int) -> None:
    _, memory = process(record(code, STP_FP_LR, END), 0xF9, RETURN)
    found = caller(memory, at(sp=STACK - 4096, fp=STACK + offset))  # stackalloc moved sp far down
    assert (found.ip, found.sp, found.value("fp")) == (RETURN, STACK + 32, 0xF9)


@pytest.mark.parametrize("position", range(4))
def test_in_the_prologue_only_what_ran_is_undone(position: int) -> None:
    """stp fp, lr, [sp, #-32]!; stp x19, x20, [sp, #16]; mov fp, sp."""
    before = STACK + 32
    sp = before if position == 0 else STACK
    values = [0xF9, RETURN, 0xB19, 0xB20] if position > 1 else [0xF9, RETURN]
    _, memory = process(record(SET_FP, b"\xc8\x02", STP_FP_LR, END), *values)
    fp = STACK if position == 3 else 0xF9
    saved = {"x19": 0xB19, "x20": 0xB20} if position < 2 else {"x19": 0, "x20": 0}
    found = caller(memory, at(position, sp, fp=fp, lr=RETURN, **saved))
    assert (found.ip, found.sp, found.value("fp")) == (RETURN, before, 0xF9)
    assert [found.value(name) for name in ("x19", "x20")] == [0xB19, 0xB20]


FRAME = (SET_FP, b"\xc8\x02", STP_FP_LR, END)  # the epilogue from the second code on: ldp x19, x20; ldp fp, lr, [sp], #32; ret
EPILOGUES = {
    "at the end": record(*FRAME, at_end=1),
    "at the end, codes of its own": record(*FRAME, b"\xc8\x02", STP_FP_LR, END, at_end=5),
    "in the middle": record(*FRAME, epilogs=((10, 1), (WORDS - 3, 1))),
    "in the middle, extended header": record(*FRAME, epilogs=((10, 1), (WORDS - 3, 1)), extended=True),
    "with the frame pointer": record(*FRAME, epilogs=((10, 1), (WORDS - 4, 0))),
}


@pytest.mark.parametrize("name", EPILOGUES)
@pytest.mark.parametrize("left", range(4))
def test_an_epilogue_is_run_to_its_end(name: str, left: int) -> None:
    """`left` instructions are still to run, the return among them; 3: all of them."""
    _, memory = process(EPILOGUES[name], 0xF9, RETURN, 0xB19, 0xB20)
    restored = {"x19": 0xB19, "x20": 0xB20} if left < 3 else {}
    sp, fp, lr = (STACK + 32, 0xF9, RETURN) if left < 2 else (STACK, STACK, 0x6666)
    found = caller(memory, at(WORDS - left if left else 19, sp, fp=fp, lr=lr, **restored) if left else at(20, STACK, fp=STACK))
    assert (found.ip, found.sp) == (RETURN, STACK + 32)
    assert [found.value(register) for register in ("fp", "x19", "x20")] == [0xF9, 0xB19, 0xB20]


def test_an_epilogue_between_others() -> None:
    data = record(*FRAME, epilogs=((10, 1), (30, 1), (50, 1)))
    _, memory = process(data, 0xF9, RETURN, 0xB19, 0xB20)
    for position, inside in ((29, False), (30, False), (31, True), (32, True), (33, False)):
        fp = STACK if not inside or position < 32 else 0xF9
        at_return = position == 32
        found = caller(memory, at(position, STACK + 32 if at_return else STACK, fp=fp, lr=RETURN, x19=0xB19, x20=0xB20))
        assert (found.sp, found.value("x19")) == (STACK + 32, 0xB19)


def test_a_further_fragment_has_its_prologue_elsewhere() -> None:
    """end_c first: the instructions of the prologue are in an earlier piece, so that the first one here is in the body already."""
    data = record(END_CHAINED, *FRAME, epilogs=((60, 2),))
    _, memory = process(data, 0xF9, RETURN, 0xB19, 0xB20)
    assert read_unwind_data(memory, BASE, INFO).is_fragment
    found = caller(memory, at(0, fp=STACK))
    assert (found.ip, found.sp, found.value("x20")) == (RETURN, STACK + 32, 0xB20)
    assert caller(memory, at(62, STACK + 32, fp=0xF9, lr=RETURN)).sp == STACK + 32


def test_shrink_wrapped_codes_go_on_in_the_parent() -> None:
    """end_c in the middle: what is before it was saved later, by code that is part of the body."""
    _, memory = process(record(b"\xc8\x02", END_CHAINED, STP_FP_LR, END), 0xF9, RETURN, 0xB19, 0xB20)
    found = caller(memory, at())
    assert (found.ip, found.value("x19"), found.value("fp")) == (RETURN, 0xB19, 0xF9)


@pytest.mark.parametrize("extended", [False, True])
def test_what_follows_a_record(extended: bool) -> None:
    data = record(*FRAME, epilogs=((10, 1), (30, 1)), extended=extended)
    _, memory = process(data)
    assert piece_size(memory, BASE, INFO) == len(data)
    assert piece_bytes(INFO - BASE, lambda rva, size: memory.bytes(BASE + rva, size)) == 4 * WORDS
    assert read_unwind_data(memory, BASE, INFO).words == WORDS


def test_a_machine_frame_and_a_context() -> None:
    image, memory = process(record(b"\xe9", END), STACK + 0x100, RETURN)
    found = caller(memory, at())
    assert (found.ip, found.sp) == (RETURN, STACK + 0x100)
    image.write(INFO, record(b"\xea", END))
    image.write(STACK, bytes(8) + pack("<33Q", *range(100, 131), STACK + 0x200, RETURN))
    found = caller(memory, at())
    assert (found.ip, found.sp, found.value("x19"), found.value("fp")) == (RETURN, STACK + 0x200, 119, 129)


@pytest.mark.parametrize(
    ("unwind_data", "reason"),
    [
        (pack("<I", WORDS | 1 << 18), "version 1"),
        (record(b"\xdf\x00", END), "0xdf"),
        (record(b"\xe8", END), "0xe8"),
        (record(b"\xeb", END), "0xeb"),
        (record(b"\xe7\x93\x00", END), "operands"),
        (record(b"\xe7\x13\xc0", END), "operands"),
        (record(b"\x03\x03\x03\xe0"), "cut short"),
        (record(b"\xd7\xc0", END), "register 33"),
        (record(b"\xe7\x1f\x00", END), "register 31"),
        (record(SAVE_NEXT, b"\xd2\x44", END), "no pair"),
        (record(SAVE_NEXT, SAVE_NEXT, SAVE_NEXT, SAVE_NEXT, SAVE_NEXT, b"\xc9\x00", END), "register 34"),
    ],
)
def test_what_makes_no_sense_is_refused(unwind_data: bytes, reason: str) -> None:
    _, memory = process(unwind_data, RETURN)
    with pytest.raises(Malformed, match=reason):
        caller(memory, at())


def test_a_stack_pointer_that_goes_down_or_stays_is_refused() -> None:
    _, memory = process(record(SET_FP, END))
    with pytest.raises(Malformed, match="not up"):
        caller(memory, at(sp=STACK + 64, fp=STACK))
    _, memory = process(record(END))
    with pytest.raises(Malformed, match="not up"):
        caller(memory, at(lr=CODE + 80))


@settings(max_examples=500)
@given(
    st.one_of(st.binary(min_size=4, max_size=80), st.binary(max_size=60).map(lambda codes: record(codes, at_end=3))),
    st.binary(max_size=256),
    st.integers(0, 80),
    st.integers(0, 3),
)
def test_any_bytes_end_in_a_caller_or_an_error(unwind_data: bytes, stack: bytes, position: int, packed: int) -> None:
    image, memory = written_memory()
    image.write(INFO, unwind_data)
    image.write(STACK, stack)
    word = int.from_bytes(unwind_data[:4], "little")
    info = BASE + (word & ~3 | packed) if packed else INFO
    with suppress(Unreadable, Malformed):
        assert caller(memory, at(position, sp=STACK + len(stack) // 2 & ~7, fp=STACK), info).sp >= STACK


@given(st.binary(max_size=1100), st.integers(0, 1100))
def test_codes_are_read_once_each(codes: bytes, index: int) -> None:
    with suppress(Malformed):
        assert sum(code.size_bytes for code in codes_from(codes, index)) <= max(0, len(codes) - index)
