"""Async methods that wait: which ones, at which await, and who awaits whom."""

from collections.abc import Callable

import pytest

import heaphound
from tests.dumps.conftest import Opened
from tests.lab.dumps import PROGRAMS, LabDump, Recipe, leaks, zoo
from tests.lab.runtimes import VERSIONS

ENDED = {"RanToCompletion", "Canceled", "Faulted"}


def test_waiting_boxes_agree_with_the_oracle(opened: Opened) -> None:
    rows = opened.case.answers("asyncs")
    waiting = {row["address"]: row["state"] for row in rows if row["status"] not in ENDED and row["state"] != -2}
    result = opened.dump.tasks().result
    frames = {hex(frame.address): frame.state for stack in result.stacks for frame in stack.frames if frame.kind == "method"}
    assert result.waiting == len(waiting)
    assert frames.items() <= waiting.items(), "each frame of an example is a waiting box of the oracle, at the same await"
    methods = sum(stack.count * sum(frame.kind == "method" for frame in stack.frames) for stack in result.stacks)
    assert methods == result.waiting, "no box is in two stacks of these programs"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_of_awaits(version: str, dump_factory: Callable[[Recipe], LabDump]) -> None:
    """Middle(n) awaits Middle(n - 1) ... Middle(0), which awaits a task that never ends; called with 0, 1 and 2."""
    result = heaphound.open(dump_factory(zoo(version)).path).tasks().result
    assert sorted([[(frame.method, frame.state) for frame in stack.frames] for stack in result.stacks], key=len) == [
        [("Zoo.Program.Middle", 0)],
        [("Zoo.Program.Middle", 0), ("Zoo.Program.Middle", 1)],
        [("Zoo.Program.Middle", 0), ("Zoo.Program.Middle", 1), ("Zoo.Program.Middle", 1)],
    ]
    assert {stack.awaiting for stack in result.stacks} == {"System.Threading.Tasks.Task<System.Int32>"}


def test_alike_stacks_are_one_row(dump_factory: Callable[[Recipe], LabDump]) -> None:
    dump = dump_factory(leaks("9.0.11", "async-pending", 20_000))
    (stack,) = heaphound.open(dump.path, symbols=[PROGRAMS / "Leaks" / "bin"]).tasks().result.stacks
    assert (stack.count, [frame.method for frame in stack.frames]) == (20_000, ["Leaks.Gateway.Call"])
    assert stack.frames[0].file == "Program.cs"
    assert stack.awaiting == "System.Threading.Tasks.Task<System.String>"
    assert (stack.retained_bytes or 0) > 20_000 * 300
