"""Native frames between those of the managed walk: their order, and what is said where both disagree."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from heaphound.dump.core import Core
from heaphound.dump.native_frames import NativeFrame
from heaphound.limits import LIMITS
from heaphound.runtime.stacks import mixed_walk
from heaphound.runtime.stacks.frame import ExplicitFrame, FrameCode, ManagedFrame, StackEnd
from heaphound.runtime.stacks.mixed_walk import MixedWalker
from heaphound.runtime.stacks.registers import RegisterContext
from tests.unit.dump.framed_library import BASE, CODE, STACK, UNDEFINED, NativeProcess, library

NATIVE, MANAGED, SIGRETURN_AT = BASE + CODE, 0x7F1100000000, 0x7F2200000000
METHOD = FrameCode("jit", MANAGED, MANAGED, MANAGED + 0x100, MANAGED, 0, 0, None, None)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> NativeProcess:
    return NativeProcess(tmp_path_factory.mktemp("native"))


def context(ip: int, sp: int) -> RegisterContext:
    return RegisterContext("x64", {"rip": ip, "rsp": sp})


def managed(ip: int, sp: int, caller: RegisterContext | None = None) -> ManagedFrame:
    return ManagedFrame(METHOD, context(ip, sp), caller, active=False)


def explicit(at: int, resume: RegisterContext | None = None, kind: str = "InlinedCallFrame") -> ExplicitFrame:
    return ExplicitFrame(at, kind, NATIVE, resume)


def walk(core: Core, *items: Any, frame_bytes: int = 0, **registers: int) -> list[Any]:
    """`frame_bytes`: how large the frames of managed code are that no Frame leads to; 0 where they cannot be undone."""
    (thread,) = core.threads
    thread.registers.update({"rip": NATIVE + 8, "rsp": STACK, **registers})

    def follow(where: RegisterContext, active: bool) -> Iterator[ManagedFrame]:
        while frame_bytes and MANAGED <= where.ip < MANAGED + 0x100:
            caller = context(core.memory.pointer(where.sp + frame_bytes - 8), where.sp + frame_bytes)
            yield ManagedFrame(METHOD, where, caller, active)
            where, active = caller, False

    walker: Any = SimpleNamespace(
        runtime=SimpleNamespace(core=core),
        codes=SimpleNamespace(ends_native_frames=lambda address: MANAGED <= address < MANAGED + 0x100),
        walk=lambda _thread: iter(items),
        follow=follow,
    )
    one: Any = SimpleNamespace(os_id=7)
    return list(MixedWalker(walker).walk(one))


def told(found: list[Any]) -> list[str]:
    names = {NativeFrame: "native", ManagedFrame: "managed", ExplicitFrame: "frame", StackEnd: "end"}
    return [f"{names[type(item)]} {item.sp - STACK:#x}" for item in found]


def problems(found: list[Any]) -> list[str]:
    return [item.problem for item in found if isinstance(item, NativeFrame) and item.problem is not None]


def test_a_frame_comes_behind_the_function_that_made_it(process: NativeProcess) -> None:
    core = process.core(library(b""), NATIVE + 1, NATIVE + 2, MANAGED + 4)
    found = walk(core, explicit(STACK + 9), managed(MANAGED + 4, STACK + 24))
    assert told(found) == ["native 0x0", "native 0x8", "frame 0x9", "native 0x10", "managed 0x18"]
    assert problems(found) == []


def test_native_code_between_managed_runs_and_at_the_end(process: NativeProcess) -> None:
    core = process.core(library(b""), MANAGED + 4, 0, NATIVE + 1, MANAGED + 8, 0, NATIVE + 2, 0)
    first = managed(MANAGED + 4, STACK + 8, context(NATIVE + 1, STACK + 24))
    second = managed(MANAGED + 8, STACK + 32, context(NATIVE + 2, STACK + 48))
    found = walk(core, first, second)
    assert told(found) == ["native 0x0", "managed 0x8", "native 0x18", "managed 0x20", "native 0x30"]
    assert problems(found) == []


def test_a_call_from_method_to_method_has_nothing_between(process: NativeProcess) -> None:
    first = managed(MANAGED + 4, STACK + 8, context(MANAGED + 8, STACK + 24))
    found = walk(process.core(library(b""), MANAGED + 4), first, managed(MANAGED + 8, STACK + 24))
    assert told(found) == ["native 0x0", "managed 0x8", "managed 0x18"]


def test_an_earlier_instruction_of_the_same_call(process: NativeProcess) -> None:
    """The Frame has the stack pointer of the prologue, from before memory was taken off the stack."""
    core = process.core(library(b""), MANAGED + 0x14, 0, 0, NATIVE + 1, 0)
    found = walk(core, managed(MANAGED + 4, STACK + 16, context(NATIVE + 1, STACK + 40)), frame_bytes=32)
    assert told(found) == ["native 0x0", "managed 0x10", "native 0x28"]
    assert problems(found) == []


def test_managed_code_that_no_frame_leads_to(process: NativeProcess) -> None:
    """Native code enters managed code, which calls into the runtime before that makes a Frame; a mark lies in the managed frame."""
    core = process.core(library(b""), MANAGED + 8, 0, MANAGED + 12, 0, NATIVE + 1, MANAGED + 4, 0, NATIVE + 2, 0)
    found = walk(core, explicit(STACK + 28), managed(MANAGED + 4, STACK + 48, context(NATIVE + 2, STACK + 64)), frame_bytes=16)
    assert told(found) == ["native 0x0", "managed 0x8", "frame 0x1c", "managed 0x18", "native 0x28", "managed 0x30", "native 0x40"]
    assert problems(found) == []


def test_managed_code_that_no_frame_leads_to_at_the_end_of_a_stack(process: NativeProcess) -> None:
    core = process.core(library(b""), MANAGED + 8, 0, NATIVE + 1, 0)
    found = walk(core, explicit(STACK + 200), frame_bytes=16)
    assert told(found) == ["native 0x0", "managed 0x8", "native 0x18", "frame 0xc8"]
    assert problems(found) == []


def test_a_signal_that_interrupted_managed_code_is_told_apart(process: NativeProcess) -> None:
    core = process.core(library(b""), 0, NATIVE + 1, 0)
    found = walk(core, frame_bytes=16, rip=MANAGED + 8)
    assert [item.active for item in found] == [True, False]


@pytest.mark.parametrize("known", [True, False])
def test_a_diverted_return(process: NativeProcess, known: bool) -> None:
    """Where the diverting code goes back to, the HijackFrame knows alone."""
    core = process.core(library(b""), NATIVE + 1, 0xDEAD, 0, MANAGED + 4, 0, NATIVE + 2, 0)
    back = context(MANAGED + 8, STACK + 16)
    after = managed(MANAGED + 8, STACK + 16, context(NATIVE + 2, STACK + 48))
    found = walk(core, explicit(STACK + 9, back if known else None, "HijackFrame"), after, frame_bytes=32)
    expected = ["native 0x0", "native 0x8", "frame 0x9", "managed 0x10", "native 0x30"]
    assert (told(found) == expected) is known
    assert (problems(found) == []) is known


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([managed(MANAGED + 4, STACK + 40)], "the Frame of the runtime leads to the frame that follows"),
        ([managed(MANAGED + 0x40, STACK + 8)], "the Frame of the runtime leads to the frame that follows"),
        ([explicit(STACK + 64)], "to which no Frame of the runtime leads"),
        ([], "to which no Frame of the runtime leads"),
    ],
)
def test_a_disagreement_is_told(process: NativeProcess, items: list[Any], reason: str) -> None:
    found = walk(process.core(library(b""), MANAGED + 4), *items)
    assert [item for item in found if not isinstance(item, NativeFrame)] == items
    (problem,) = problems(found)
    assert reason in problem
    assert f"{MANAGED + 4:#x}" in problem


def test_a_handler_on_another_stack_than_the_fault(process: NativeProcess) -> None:
    """It begins with a frame made up for debuggers, which returns to the instruction that faulted, at a stack pointer apart."""
    faulted = ManagedFrame(METHOD, context(MANAGED + 4, STACK + 0x900), None, active=True)
    found = walk(process.core(library(b""), MANAGED + 4), explicit(STACK + 4, kind="FaultingExceptionFrame"), faulted)
    assert problems(found) == []


def test_the_beginning_of_a_thread_below_a_managed_frame(process: NativeProcess) -> None:
    found = walk(process.core(library(bytes([UNDEFINED, 16]))), managed(MANAGED + 4, STACK + 40))
    assert "the thread begins here" in problems(found)[0]


def test_a_stack_that_cannot_be_walked(process: NativeProcess) -> None:
    end = StackEnd(STACK + 8, "a reason")
    found = walk(process.core(library(b""), MANAGED + 4), end)
    assert told(found) == ["native 0x0", "end 0x8"]
    assert problems(found) == []


def test_threads_that_the_runtime_does_not_know(process: NativeProcess) -> None:
    core = process.core(library(b""), NATIVE + 1, 0)
    core.threads[0].registers.update({"rip": NATIVE + 8, "rsp": STACK})
    walker: Any = SimpleNamespace(runtime=SimpleNamespace(core=core), codes=SimpleNamespace(ends_native_frames=lambda _: False))
    assert told(list(MixedWalker(walker).walk_native(7))) == ["native 0x0", "native 0x8"]
    (end,) = MixedWalker(walker).walk_native(8)
    assert isinstance(end, StackEnd)


def test_managed_code_and_signals_that_lead_into_each_other(process: NativeProcess) -> None:
    """Behind managed code a signal's frame, which says that the signal was delivered in that same managed code, further in."""
    interrupted = [0] * 5 + [0] * 15 + [STACK + 8, MANAGED + 8]  # uc_mcontext of struct ucontext, which ends with rsp and rip
    code = {SIGRETURN_AT: b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"}
    core = process.core(library(b""), MANAGED + 8, 0, SIGRETURN_AT, *interrupted, code=code)
    found = walk(core, frame_bytes=16)
    assert told(found) == ["native 0x0"]
    assert "no Frame of the runtime leads" in problems(found)[0]


def test_native_frames_of_a_thread_are_bounded(process: NativeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wild Frames can lead to the same native frames again and again."""
    monkeypatch.setattr(mixed_walk, "LIMITS", replace(LIMITS, native_run_frames=25))
    core = process.core(library(b""), *[NATIVE + 1] * 20)
    again = [managed(MANAGED + 4, STACK + 8, context(NATIVE + 2, STACK + 8))] * 100
    found = walk(core, *again)
    assert len([item for item in found if isinstance(item, NativeFrame)]) <= 25 + len(again) + 1
    assert any("native frames" in problem for problem in problems(found))
