"""Runs of native frames on a written stack: signals and their stacks, code without information, ends of every kind."""

from collections.abc import Callable
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.core import Core
from heaphound.dump.guessed_caller import CallerGuess
from heaphound.dump.native_frames import NativeFrames, NativeRun
from heaphound.dump.system_calls import system_call
from heaphound.errors import Unreadable
from tests.unit.dump.framed_library import (
    ARM64_COMMON,
    BASE,
    CODE,
    DEF_CFA,
    DEF_CFA_OFFSET,
    STACK,
    UNDEFINED,
    X64_COMMON,
    NativeProcess,
    library,
    offset,
)

NATIVE, MANAGED, STUB, RETURN_CODE, OTHER_STACK = BASE + CODE, 0x7F1100000000, 0x7F3300000000, 0x7F4400000000, 0x7EEE00000000
SIGRETURN = b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"
CALL = b"\xe8\0\0\0\0"


@pytest.fixture(scope="module")
def x64(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"), "arm64")


def managed(address: int) -> bool:
    return MANAGED <= address < MANAGED + 0x1000


def run(core: Core, active: bool = True, known: Callable[[int], bool] = managed, **values: int) -> NativeRun:
    unwinder = NativeUnwinder(core)
    start = {"rip": NATIVE + 8, "rsp": STACK} if core.machine == "x64" else {"pc": NATIVE + 8, "sp": STACK}
    return NativeFrames(unwinder, CallerGuess(core, unwinder), core.machine).run({**start, **values}, active, known)


def places(found: NativeRun) -> list[tuple[int, int]]:
    return [(frame.ip, frame.sp) for frame in found.frames]


def test_up_to_managed_code(x64: NativeProcess) -> None:
    found = run(x64.core(library(b""), NATIVE + 0x20, NATIVE + 0x30, MANAGED + 5))
    assert places(found) == [(NATIVE + 8, STACK), (NATIVE + 0x20, STACK + 8), (NATIVE + 0x30, STACK + 16)]
    assert [frame.active for frame in found.frames] == [True, False, False]
    assert (found.arrived, found.outermost, found.reason) == ({"rip": MANAGED + 5, "rsp": STACK + 24}, False, None)
    assert all(frame.exact and frame.problem is None for frame in found.frames)


def test_code_that_is_managed_has_no_native_frames(x64: NativeProcess) -> None:
    found = run(x64.core(library(b"")), rip=MANAGED)
    assert (found.frames, found.arrived) == ([], {"rip": MANAGED, "rsp": STACK})


def test_where_a_thread_begins(x64: NativeProcess) -> None:
    found = run(x64.core(library(bytes([UNDEFINED, 16]))))
    assert (len(found.frames), found.outermost, found.reason) == (1, True, None)
    assert run(x64.core(library(b""), 0)).outermost


def test_a_signal_on_a_stack_of_its_own(x64: NativeProcess) -> None:
    """The handler runs on another stack; the frame that the kernel made there tells where the thread was."""
    interrupted = [0] * 5 + [0] * 8 + [0] * 2 + [0xB5, 0xB3, 0, 0, 0, STACK + 8, NATIVE + 0x40]  # uc_mcontext of struct ucontext
    words = pack(f"<{len(interrupted) + 1}Q", RETURN_CODE, *interrupted)
    core = x64.core(library(b""), 0, NATIVE + 0x50, MANAGED, code={RETURN_CODE: SIGRETURN, OTHER_STACK: words})
    found = run(core, rsp=OTHER_STACK)
    assert places(found) == [
        (NATIVE + 8, OTHER_STACK),
        (RETURN_CODE, OTHER_STACK + 8),
        (NATIVE + 0x40, STACK + 8),
        (NATIVE + 0x50, STACK + 16),
    ]
    assert [frame.active for frame in found.frames] == [True, False, True, False]
    assert found.switched == 2
    assert found.arrived == {"rip": MANAGED, "rsp": STACK + 24, "rbp": 0xB5, "rbx": 0xB3, "r12": 0, "r13": 0, "r14": 0, "r15": 0}


def test_a_signal_of_arm64(arm64: NativeProcess) -> None:
    code = pack("<II", 0xD2801168, 0xD4000001)
    registers = [*range(29), 0xF1, MANAGED + 4, STACK + 0x100, MANAGED + 8]
    frame = bytes(128 + 176 + 8) + pack("<33Q", *registers)
    found = run(
        arm64.core(library(b"", ARM64_COMMON, "arm64"), code={RETURN_CODE: code, OTHER_STACK: frame}), sp=OTHER_STACK, lr=RETURN_CODE
    )
    assert places(found) == [(NATIVE + 8, OTHER_STACK), (RETURN_CODE, OTHER_STACK)]
    assert found.arrived is not None
    assert (found.arrived["pc"], found.arrived["sp"], found.arrived["x7"]) == (MANAGED + 8, STACK + 0x100, 7)


def test_handlers_without_end(x64: NativeProcess) -> None:
    """A frame of a signal that says that it was delivered inside of itself."""
    again = [0] * 5 + [0] * 15 + [OTHER_STACK, RETURN_CODE]
    core = x64.core(library(b""), code={RETURN_CODE: SIGRETURN, OTHER_STACK: pack(f"<{len(again)}Q", *again)})
    found = run(core, rip=RETURN_CODE, rsp=OTHER_STACK)
    assert len(found.frames) < 100
    assert found.reason is not None
    assert "signal handlers" in found.reason


def test_a_stub_that_was_just_entered(x64: NativeProcess) -> None:
    core = x64.core(library(b""), MANAGED + 0x20, code={STUB: b"\x90" * 16, MANAGED + 0x10: bytes(11) + CALL})
    found = run(core, rip=STUB + 4)
    assert (places(found), found.arrived) == ([(STUB + 4, STACK)], {"rip": MANAGED + 0x20, "rsp": STACK + 8})
    assert found.frames[0].module is None


def test_a_guess_by_the_frame_pointer(x64: NativeProcess) -> None:
    """Code without information keeps a frame pointer; the frame behind it is labelled, and so is all that follows."""
    code = {STUB: b"\x90" * 16, NATIVE + 0x1B - 0x100000: CALL}
    image = bytearray(library(b""))
    image[CODE + 0x1B : CODE + 0x20] = CALL
    core = x64.core(bytes(image), 0, 0, STACK + 48, NATIVE + 0x20, MANAGED + 1, code=code)
    found = run(core, rip=STUB + 4, rbp=STACK + 16)
    assert places(found) == [(STUB + 4, STACK), (NATIVE + 0x20, STACK + 32)]
    assert [frame.exact for frame in found.frames] == [True, False]
    assert found.arrived == {"rip": MANAGED + 1, "rsp": STACK + 40, "rbp": STACK + 48}


def test_where_nothing_is_likely_the_frames_end(x64: NativeProcess) -> None:
    found = run(x64.core(library(b""), MANAGED + 0x20, code={STUB: b"\x90" * 16}), rip=STUB + 4, rbp=STACK + 16)
    assert found.arrived is None
    assert not found.outermost
    assert found.frames[0].problem is not None
    assert "belongs to no image" in found.frames[0].problem


def test_a_stack_that_does_not_move_up(x64: NativeProcess) -> None:
    stays = bytes([DEF_CFA, 7, 0]) + offset(16, 0)  # CFA = rsp, the return address there
    found = run(x64.core(library(b"", common=stays), NATIVE + 0x20))
    assert found.reason is not None
    assert "not up" in found.reason
    assert len(found.frames) == 1


def test_a_leaf_of_arm64_and_its_caller(arm64: NativeProcess) -> None:
    found = run(arm64.core(library(b"", ARM64_COMMON, "arm64")), lr=MANAGED + 4)
    assert found.arrived is not None
    assert (found.arrived["pc"], found.arrived["sp"]) == (MANAGED + 4, STACK)
    # once more: what is no leaf must move up
    found = run(arm64.core(library(b"", ARM64_COMMON, "arm64")), lr=NATIVE + 0x10)
    assert found.reason is not None
    assert "not up" in found.reason


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([0, 8, NATIVE, NATIVE + 0x20, STACK, STACK + 64, STUB, RETURN_CODE, 1 << 63]), max_size=64), st.integers(0, 7)
)
def test_any_stack_ends(x64: NativeProcess, words: list[int], at: int) -> None:
    code = {STUB: CALL * 3, RETURN_CODE: SIGRETURN}
    found = run(x64.core(library(b"", X64_COMMON + bytes([DEF_CFA_OFFSET, 8])), *words, code=code), rsp=STACK + 8 * at, rbp=STACK + 8 * at)
    assert len(found.frames) <= 200


def test_the_system_call_of_a_thread(x64: NativeProcess) -> None:
    core = x64.core(library(b""), code={STUB: b"\x0f\x05\x90\x90"})
    (thread,) = core.threads
    thread.registers.update(rip=STUB + 2, orig_rax=202)
    assert system_call(core.memory, thread) == "futex"
    thread.registers.update(orig_rax=56)
    assert system_call(core.memory, thread) == "clone"
    thread.registers.update(orig_rax=(1 << 64) - 1)
    assert system_call(core.memory, thread) is None
    thread.registers.update(rip=STUB + 3, orig_rax=202)
    assert system_call(core.memory, thread) is None
    thread.registers.update(rip=0)
    assert system_call(core.memory, thread) is None


def test_a_stack_pointer_past_the_address_space(x64: NativeProcess) -> None:
    """As a runtime helper has it whose captured stack pointer is wild: it is 8 less than that of its caller."""
    unwinder = NativeUnwinder(x64.core(library(b"")))
    with pytest.raises(Unreadable):
        unwinder.caller({"rip": NATIVE + 8, "rsp": (1 << 64) + 7}, active=False)
