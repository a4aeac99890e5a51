"""Call frame information by hand: one common and one function entry, every rule that compilers and libraries write, and random ones."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.call_frames import NativeCaller, NativeUnwinder
from heaphound.errors import Malformed, Unreadable
from tests.elf_library import PAGE
from tests.unit.dump.framed_library import (
    ARM64_COMMON,
    BASE,
    CODE,
    DEF_CFA,
    DEF_CFA_EXPRESSION,
    DEF_CFA_OFFSET,
    DEF_CFA_REGISTER,
    EXPRESSION,
    NEGATE_RA_STATE,
    REMEMBER,
    RESTORE_STATE,
    SAME_VALUE,
    STACK,
    UNDEFINED,
    VAL_EXPRESSION,
    X64_COMMON,
    NativeProcess,
    advance,
    expression,
    library,
    offset,
)

RETURN = 0x7F0012345678
RBP, RSP, RBX, RIP = 6, 7, 3, 16
FP, LR, SP = 29, 30, 31
PUSH_RBP = advance(1) + bytes([DEF_CFA_OFFSET, 16]) + offset(RBP, 2)
SET_RBP = advance(3) + bytes([DEF_CFA_REGISTER, RBP])


@pytest.fixture(scope="module")
def x64(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"), "arm64")


def unwound(process: NativeProcess, image: bytes, at: int, *stack: int, **others: int) -> NativeCaller | None:
    """The caller of the function, stopped behind a call `at` bytes in it."""
    core = process.core(image, *stack)
    if process.machine == "x64":
        values = {"rip": BASE + CODE + at, "rsp": STACK, "rbp": STACK, "rbx": 0xB3, "rax": 0xAA}
    else:
        values = {"pc": BASE + CODE + at, "sp": STACK, "fp": STACK, "lr": RETURN, "x19": 0x19, "x0": 0xA0}
    return NativeUnwinder(core).caller({**values, **others}, active=False)


def known(caller: NativeCaller | None) -> NativeCaller:
    assert caller is not None
    return caller


def test_the_stack_pointer_leads(x64: NativeProcess) -> None:
    found = known(unwound(x64, library(PUSH_RBP), 2, 0xB5, RETURN))
    assert found.values == {"rip": RETURN, "rsp": STACK + 16, "rbp": 0xB5, "rbx": 0xB3}
    assert found.saved_at == {"rbp": STACK, "rip": STACK + 8}
    assert not found.interrupted


def test_before_the_push_nothing_is_restored(x64: NativeProcess) -> None:
    found = known(unwound(x64, library(PUSH_RBP), 1, RETURN))
    assert (found.values["rip"], found.values["rsp"], found.values["rbp"]) == (RETURN, STACK + 8, STACK)


def test_the_frame_pointer_leads(x64: NativeProcess) -> None:
    image = library(PUSH_RBP + SET_RBP + offset(RBX, 3))
    found = known(unwound(x64, image, 9, 0xBB, 0, 0xB3, 0xB5, RETURN, rbp=STACK + 24))
    assert found.values == {"rip": RETURN, "rsp": STACK + 40, "rbp": 0xB5, "rbx": 0xB3}


def test_behind_an_early_return_the_saved_rules_hold(x64: NativeProcess) -> None:
    early = REMEMBER + advance(4) + bytes([DEF_CFA, RSP, 8, 0xC0 | RBP]) + advance(1) + RESTORE_STATE
    image = library(PUSH_RBP + early)
    assert known(unwound(x64, image, 6, RETURN)).values["rsp"] == STACK + 8
    assert known(unwound(x64, image, 7, 0xB5, RETURN)).values["rsp"] == STACK + 16


def test_the_next_instruction_is_looked_up_itself(x64: NativeProcess) -> None:
    unwinder = NativeUnwinder(x64.core(library(PUSH_RBP), 0xB5, RETURN))
    values = {"rip": BASE + CODE + 1, "rsp": STACK}
    assert known(unwinder.caller(values, active=True)).values["rsp"] == STACK + 16
    assert known(unwinder.caller(values, active=False)).values["rsp"] == STACK + 8


def test_the_expression_of_a_plt(x64: NativeProcess) -> None:
    code = bytes.fromhex("770880003f1a3b2a332422")  # rsp + 8 + ((rip & 15 >= 11) << 3)
    image = library(expression(DEF_CFA_EXPRESSION, code))
    assert known(unwound(x64, image, 5, RETURN)).values["rsp"] == STACK + 8
    assert known(unwound(x64, image, 12, 0, RETURN)).values["rsp"] == STACK + 16


def test_the_expressions_of_a_signal_trampoline(x64: NativeProcess) -> None:
    """glibc's __restore_rt: each register lies at an offset from rsp, the CFA is the rsp that was saved."""

    def saved(register: int, place: int) -> bytes:
        return expression(EXPRESSION, bytes([0x70 | RSP, place]), register)  # breg7

    rules = expression(DEF_CFA_EXPRESSION, bytes([0x77, 16, 0x06])) + saved(0, 8) + saved(RSP, 16) + saved(RIP, 24)
    image = library(b"", common=rules, augmentation=b"zRS\0")
    found = known(unwound(x64, image, 5, 0, 0x0A, STACK + 0x100, RETURN))
    assert found.interrupted
    assert (found.values["rip"], found.values["rsp"], found.values["rax"]) == (RETURN, STACK + 0x100, 0x0A)


def test_values_that_are_computed(x64: NativeProcess) -> None:
    image = library(expression(VAL_EXPRESSION, b"\x23\x08", RBX) + bytes([SAME_VALUE, 0]))  # rbx = CFA + 8
    found = known(unwound(x64, image, 5, RETURN))
    assert (found.values["rbx"], found.values["rax"]) == (STACK + 16, 0xAA)


def test_the_first_function_of_a_thread(x64: NativeProcess) -> None:
    assert unwound(x64, library(bytes([UNDEFINED, RIP])), 5) is None


def test_the_first_function_of_a_program_needs_no_information(x64: NativeProcess) -> None:
    core = replace(x64.core(library(b"", size=16)), auxv={9: BASE + CODE + 64})
    values = {"rip": BASE + CODE + 64 + 30, "rsp": STACK}
    assert NativeUnwinder(core).caller(values, active=False) is None
    with pytest.raises(Malformed, match="no call frame information covers"):
        NativeUnwinder(core).caller({**values, "rip": BASE + CODE + 60}, active=False)


def test_a_frame_of_arm64(arm64: NativeProcess) -> None:
    """stp x29, x30, [sp, -32]!; str x19, [sp, 16]"""
    pushed = advance(1) + bytes([DEF_CFA_OFFSET, 32]) + offset(FP, 4) + offset(LR, 3) + offset(19, 2)
    image = library(pushed, ARM64_COMMON, "arm64")
    found = known(unwound(arm64, image, 8, 0xF1, RETURN + 4, 0x191))
    assert found.values == {"pc": RETURN + 4, "sp": STACK + 32, "fp": 0xF1, "lr": RETURN + 4, "x19": 0x191}


def test_a_leaf_of_arm64_returns_by_its_register(arm64: NativeProcess) -> None:
    found = known(unwound(arm64, library(b"", ARM64_COMMON, "arm64"), 8))
    assert (found.values["pc"], found.values["sp"]) == (RETURN, STACK)


def test_a_signed_return_address_of_arm64(arm64: NativeProcess) -> None:
    image = library(NEGATE_RA_STATE + advance(1) + bytes([DEF_CFA_OFFSET, 16]) + offset(FP, 2) + offset(LR, 1), ARM64_COMMON, "arm64")
    found = known(unwound(arm64, image, 8, 0xF1, 0x2B << 48 | RETURN))
    assert found.values["pc"] == RETURN


@pytest.mark.parametrize(
    ("instructions", "reason"),
    [
        (RESTORE_STATE, "makes no sense"),
        (b"\x3f", "makes no sense"),
        (b"\0\0\x0c", "makes no sense"),  # three bytes: no padding follows
        (expression(DEF_CFA_EXPRESSION, b"\xff"), "expression makes no sense"),
        (expression(DEF_CFA_EXPRESSION, b"\x2f\xfd\xff"), "expression makes no sense"),  # jumps to itself for ever
        (expression(DEF_CFA_EXPRESSION, b""), "expression"),
        (bytes([DEF_CFA, 40, 8]), "register 40 is not known"),
        (bytes([DEF_CFA, 12, 8]), "register 12 is not known"),
    ],
)
def test_what_makes_no_sense_is_refused(x64: NativeProcess, instructions: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        unwound(x64, library(instructions), 5, RETURN, 0, 0)


def test_code_outside_of_every_function(x64: NativeProcess) -> None:
    with pytest.raises(Malformed, match="no call frame information covers"):
        unwound(x64, library(b"", size=16), 64, RETURN)
    with pytest.raises(Malformed, match="before the first function"):
        unwound(x64, library(b"", size=16), -64, RETURN)
    with pytest.raises(Malformed, match="no image"):
        NativeUnwinder(x64.core(library(b""))).caller({"rip": 0x5000, "rsp": STACK}, active=True)


def test_a_function_that_hides_its_return_address(x64: NativeProcess) -> None:
    with pytest.raises(Malformed, match="does not say where its return address is"):
        unwound(x64, library(b"", common=bytes([DEF_CFA, RSP, 8])), 5, RETURN)


def test_a_stack_that_is_not_in_the_dump(x64: NativeProcess) -> None:
    with pytest.raises(Unreadable):
        unwound(x64, library(b""), 5, rsp=0x10)


def test_a_table_in_another_encoding(x64: NativeProcess) -> None:
    image = bytearray(library(b""))
    image[PAGE + 3] = 0x1B
    with pytest.raises(Malformed, match="written as no linker does"):
        unwound(x64, bytes(image), 5, RETURN)


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=20), st.integers(1, 200), st.sampled_from([b"zR\0", b"zRS\0", b"zPLR\0", b"\0", b"eh\0"]))
def test_any_instructions_end_in_a_caller_or_an_error(
    x64: NativeProcess, arm64: NativeProcess, instructions: bytes, common: bytes, at: int, augmentation: bytes
) -> None:
    for process in (x64, arm64):
        with suppress(Malformed, Unreadable):
            unwound(process, library(instructions, common, process.machine, augmentation), at, *range(16))


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=40))
def test_any_expression_ends(x64: NativeProcess, code: bytes) -> None:
    rules = expression(DEF_CFA_EXPRESSION, code) + X64_COMMON[3:]
    with suppress(Malformed, Unreadable):
        unwound(x64, library(rules), 5, *range(STACK, STACK + 128, 8))


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 0x180), st.binary(min_size=1, max_size=8))
def test_any_table_ends(x64: NativeProcess, place: int, broken: bytes) -> None:
    image = bytearray(library(PUSH_RBP))
    image[PAGE + place : PAGE + place + len(broken)] = broken
    with suppress(Malformed, Unreadable):
        unwound(x64, bytes(image), 5, RETURN, RETURN, RETURN)
