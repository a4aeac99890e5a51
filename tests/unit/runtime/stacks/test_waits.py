"""What a thread waits for, which lock, and stacks merged into a tree."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.answers.stack_tree import ThreadKey, merge_stacks
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import ExplicitFrame, FrameCode, ManagedFrame
from heaphound.runtime.stacks.lock_wanted import lock_wanted
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.waits import Wait, find_wait
from tests.unit.runtime.written_memory import written_memory

STACK = 0x7FFC00000000
NATIVE = ExplicitFrame(STACK, "InlinedCallFrame", 0x7F1100000000, None)


def managed(full: str, sp: int) -> ManagedFrame:
    owner, _, name = full.rpartition(".")
    method = Method(f"{full}()", name, owner, 0x8000, None, 0x6000, 0, "managed")
    code = FrameCode("jit", 0x1000, 0x1000, 0x1100, 0x1000, 0x2000, 0x3000, None, method)
    context = RegisterContext("x64", {"rip": 0x1010, "rsp": sp})
    return ManagedFrame(code, context, RegisterContext("x64", {"rip": 0x1010, "rsp": sp + 32}), active=False)


def stack(*methods: str) -> list[Any]:
    return [NATIVE, *(managed(full, STACK + 32 * index) for index, full in enumerate(methods))]


@pytest.mark.parametrize(
    ("methods", "kind"),
    [
        (("System.Threading.Thread.Sleep", "Shop.Main"), "sleep"),
        (
            ("System.Threading.Monitor.Wait", "System.Threading.ManualResetEventSlim.Wait", "System.Threading.Tasks.Task.InternalWait"),
            "task",
        ),
        (
            ("System.Threading.WaitHandle.WaitOneNoCheck", "System.Threading.PortableThreadPool+GateThread.GateThreadStart"),
            "thread pool's gate",
        ),
        (("System.Threading.Monitor.Enter_Slowpath", "System.Threading.Monitor.Enter", "Shop.Main"), "monitor enter"),
        (("System.Collections.Concurrent.BlockingCollection<System.Int32>.Take",), "blocking collection"),
        (("System.Threading.Thread.Sleep", "System.Threading.SpinWait.SpinOnceCore", "System.Threading.SpinLock.Enter"), "spin lock"),
        (("System.Threading.SpinWait.SpinOnce", "System.Threading.ManualResetEventSlim.Wait"), "event"),
        (("System.Net.Sockets.SocketPal.Receive", "System.Net.Sockets.Socket.Receive", "System.IO.Pipes.PipeStream.ReadCore"), "pipe"),
        (("System.Environment._Exit", "System.Environment.Exit", "Shop.Main"), "process exit"),
        (("System.Threading.Thread.Sleep", "Shop.OnExit", "System.AppContext.OnProcessExit", "System.Environment.Exit"), "sleep"),
        (("System.Net.Sockets.SocketPal.Accept", "System.Net.Sockets.Socket.Accept"), "socket accept"),
    ],
)
def test_the_outermost_known_method_tells(methods: tuple[str, ...], kind: str) -> None:
    wait = find_wait(stack(*methods))
    assert wait is not None
    assert wait.kind == kind


def test_who_runs_does_not_wait() -> None:
    frames = stack("System.Threading.Thread.Sleep")
    assert find_wait(frames[1:]) is None  # still in managed code
    assert find_wait(stack("Shop.Main")) is None


def test_who_spins_waits_while_it_runs() -> None:
    wait = find_wait(stack("System.Threading.Thread.SpinWaitInternal", "System.Threading.SpinWait.SpinOnce", "Shop.Main")[1:])
    assert wait is not None
    assert wait.kind == "spin wait"


def test_a_system_call_tells_where_no_method_does() -> None:
    assert find_wait((), "futex") == Wait("native lock or event", None, None, "futex")
    assert find_wait(stack("Shop.Native.Receive", "Shop.Main"), "recvmsg") == Wait("socket", "Shop.Native.Receive()", None, "recvmsg")
    sleep = find_wait(stack("System.Threading.Thread.Sleep"), "clock_nanosleep")
    assert sleep is not None
    assert (sleep.kind, sleep.system_call) == ("sleep", "clock_nanosleep")
    assert find_wait(stack("Shop.Main")[1:], "futex") is None  # in managed code
    assert find_wait(stack("Shop.Main"), "getpid") is None


def test_the_end_of_the_waiting_frames() -> None:
    wait = find_wait(stack("System.Threading.Monitor.Enter_Slowpath", "System.Threading.Monitor.Enter", "Shop.Main"))
    assert wait is not None
    assert wait.end_sp == STACK + 64


LOCK, OTHER = 0x7F0000001000, 0x7F0000002000


@pytest.mark.parametrize(
    ("words", "registers", "wanted"),
    [
        ([0, LOCK, 1], {}, LOCK),
        ([0, 0, 0], {"rbx": LOCK}, LOCK),
        ([LOCK, OTHER, 0], {}, None),  # either may be meant
        ([0, 0, 0, 0, LOCK], {}, LOCK),  # in the frame that called Monitor.Enter
        ([0, 0, 0], {}, None),
    ],
)
def test_the_lock_is_on_the_stack(words: list[int], registers: dict[str, int], wanted: int | None) -> None:
    image, memory = written_memory()
    image.words(STACK, *words, *[0] * (128 - len(words)))
    assert lock_wanted(memory, registers, STACK, STACK + 24, {LOCK, OTHER}) == wanted


def test_a_stack_that_is_not_in_the_dump_tells_no_lock() -> None:
    assert lock_wanted(written_memory()[1], {}, STACK, STACK + 24, {LOCK}) is None
    assert lock_wanted(written_memory()[1], {}, STACK, None, {LOCK}) is None


@given(st.dictionaries(st.integers(1, 9), st.lists(st.sampled_from("abc"), min_size=1, max_size=6), max_size=8))
def test_each_stack_is_one_path_of_the_tree(stacks: dict[int, list[str]]) -> None:
    paths: dict[ThreadKey, list[str]] = {ThreadKey(thread % 2 == 0, thread): [] for thread in stacks}
    ended: list[int] = []
    for row in merge_stacks({key: stacks[key.number] for key in paths}):
        assert row.methods
        for native, threads in ((False, row.threads), (True, row.native_threads)):
            for thread in threads:
                paths[ThreadKey(native, thread)] += row.methods
        ended += (*row.ends, *row.native_ends)
    assert {key.number: path for key, path in paths.items()} == stacks
    assert sorted(ended) == sorted(stacks)


def test_a_run_past_the_limit_keeps_both_ends() -> None:
    (row,) = merge_stacks({ThreadKey(False, 1): [str(number) for number in range(1000)]}, limit=10)
    assert row.methods == tuple(map(str, range(10)))
    assert row.innermost_methods == tuple(map(str, range(980, 1000)))
    assert (row.methods_left_out, row.recursion_left_out) == (970, ())
    (row,) = merge_stacks({ThreadKey(False, 1): ["Main()", *["Recurse()"] * 100]}, limit=10)
    assert (row.methods_left_out, row.recursion_left_out) == (71, ("Recurse()",))
    (row,) = merge_stacks({ThreadKey(False, 1): [str(number) for number in range(25)]}, limit=10)
    assert (row.methods + row.innermost_methods, row.methods_left_out) == (tuple(map(str, range(25))), 0)


def test_a_deep_tree_needs_no_deep_recursion() -> None:
    stacks = {ThreadKey(False, number): [*(f"m{index}" for index in range(number)), f"own{number}"] for number in range(1, 3000)}
    rows = list(merge_stacks(stacks))
    assert max(row.depth for row in rows) > 2000


def test_a_frame_without_a_method_tells_nothing() -> None:
    frame = managed("Shop.Main", STACK)
    assert find_wait([NATIVE, replace(frame, code=replace(frame.code, method=None))]) is None
