"""Managed code in which a signal interrupted a thread, found by the frame that the kernel made for the handler."""

from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.core import Core
from heaphound.dump.native_frames import NativeRun
from heaphound.runtime.stacks.interrupted import InterruptedCode
from tests.unit.dump.framed_library import BASE, CODE, STACK, NativeProcess, library

NATIVE, MANAGED, RETURN_CODE, OTHER_STACK = BASE + CODE, 0x7F1100000000, 0x7F2200000000, 0x7F3300000000
SIGRETURN = b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"
ABOVE, BELOW, OF_HANDLER = STACK + 0x100, STACK + 8, OTHER_STACK + 8


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"))


def handling(process: NativeProcess, ip: int, sp: int, *stack: int) -> Core:
    """A process whose thread is two frames deep in a handler on another stack, and was interrupted at `ip`."""
    saved = [0] * 5 + [0] * 15 + [sp, ip]  # uc_mcontext of struct ucontext ends with rsp and rip
    words = pack(f"<{len(saved) + 2}Q", NATIVE + 1, RETURN_CODE, *saved)
    return process.core(library(b""), *stack, code={RETURN_CODE: SIGRETURN, OTHER_STACK: words})


def found(core: Core, frame: int | None = None, cooperative: bool = True, rsp: int = OTHER_STACK) -> NativeRun | None:
    codes: Any = SimpleNamespace(ends_native_frames=lambda address: MANAGED <= address < MANAGED + 0x100)
    thread: Any = SimpleNamespace(address=1, cooperative=cooperative, frame=frame)
    return InterruptedCode(core, NativeUnwinder(core), codes).of(thread, {"rip": NATIVE + 8, "rsp": rsp})


@pytest.mark.parametrize("frame", [None, ABOVE])
def test_managed_code_that_a_signal_interrupted(process: NativeProcess, frame: int | None) -> None:
    run = found(handling(process, MANAGED + 8, STACK + 0x20), frame)
    assert run is not None
    assert run.arrived is not None
    assert (run.arrived["rip"], run.arrived["rsp"], run.active, run.switched) == (MANAGED + 8, STACK + 0x20, True, 3)


def test_native_code_that_a_signal_interrupted(process: NativeProcess) -> None:
    """A helper of the runtime, which managed code called without a Frame."""
    run = found(handling(process, NATIVE + 0x40, STACK, MANAGED + 4))
    assert run is not None
    assert run.arrived is not None
    assert (run.arrived["rip"], run.arrived["rsp"], run.active) == (MANAGED + 4, STACK + 8, False)
    assert [frame.sp for frame in run.frames[run.switched :]] == [STACK]


@pytest.mark.parametrize("frame", [BELOW, OF_HANDLER])
def test_a_frame_of_the_runtime_leads_already(process: NativeProcess, frame: int) -> None:
    assert found(handling(process, MANAGED + 8, STACK + 0x20), frame) is None


def test_a_thread_that_has_left_managed_code_or_has_no_handler(process: NativeProcess) -> None:
    core = handling(process, MANAGED + 8, STACK + 0x20, MANAGED + 4)
    assert found(core, cooperative=False) is None
    assert found(core, rsp=STACK) is None


def test_a_handler_that_leads_nowhere(process: NativeProcess) -> None:
    assert found(handling(process, NATIVE + 0x40, 0x1234)) is None
