"""Frames of every thread against the oracle: method, instruction pointer, stack pointer, class of the runtime's own Frames.

Two answers of the oracle are not compared, as they are wrong (its README, blind spots 18 and 25): it takes a pool thread in native code for
a managed frame without a method, and it lists a Frame again when it has gone on from it.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame, StackEnd
from heaphound.runtime.threads import Thread
from tests.dumps.conftest import Opened
from tests.lab.cases import GOLDEN_CASES, LIVE_CASES, Case
from tests.lab.dumps import Recipe, leaks, make_dump
from tests.lab.oracle import Row

FRAMEWORK = ("System.", "Interop", "Microsoft.")
RUNTIMES = ("6.0.6", "8.0.4", "9.0.11", "10.0.11")
# Threads blocked at places that are hard to walk over, and threads stopped anywhere in the middle of work.
PROGRAMS = {"stacks-blocked": ("blocked",), "stacks-busy": ("busy", "1")}


def stacks(version: str, arguments: tuple[str, ...]) -> Path:
    """The dump of one run of Stacks."""
    return make_dump(Recipe("Stacks", version, arguments)).path


def leaked_threads(version: str) -> Path:
    """The dump of 300 threads that sleep for ever."""
    return make_dump(leaks(version, "threads", 300)).path


STACK_CASES = [
    Case(f"{name}-{version}", partial(stacks, version, arguments)) for name, arguments in PROGRAMS.items() for version in RUNTIMES
]
LEAK_CASES = [Case(f"leaks-threads-{version}", partial(leaked_threads, version)) for version in RUNTIMES[1:]]  # its build is of .NET 8
LIVE = pytest.mark.parametrize(
    "opened",
    [
        *(
            pytest.param(case, id=case.name, marks=pytest.mark.oracle)
            for case in [*LIVE_CASES, *STACK_CASES, *LEAK_CASES]
            if "3.1" not in case.name
        ),
        *(pytest.param(case, id=case.name, marks=[pytest.mark.oracle, pytest.mark.golden]) for case in GOLDEN_CASES),
    ],
    indirect=True,
)


class Place(NamedTuple):
    """One frame as both tell it; `what` is the MethodDesc of managed code, the class of a Frame."""

    kind: str
    ip: int
    sp: int
    what: object


def told(row: Row) -> Iterator[Place]:
    """The oracle's frames of one thread."""
    latest: tuple[str, str] | None = None
    for frame in row["frames"]:
        ours = (frame["kind"], frame["sp"])
        repeated = frame["kind"] == "Runtime" and ours == latest
        latest = ours
        if frame["kind"] == "Runtime" and not repeated:
            yield Place("runtime", int(frame["ip"], 16), int(frame["sp"], 16), frame["name"])
        elif frame["kind"] != "Runtime" and frame["method"] is not None:
            yield Place("managed", int(frame["ip"], 16), int(frame["sp"], 16), int(frame["md"], 16))


def walked(opened: Opened, thread: Thread) -> Iterator[Place]:
    """Our frames of the same thread."""
    for frame in opened.dump.session.stacks.walk(thread):
        assert not isinstance(frame, StackEnd), (thread.managed_id, frame.reason)
        if isinstance(frame, ManagedFrame):
            assert frame.code.method is not None, frame.code.problem
            yield Place("managed", frame.ip, frame.sp, frame.code.method.method_desc)
        else:
            yield Place("runtime", frame.ip, frame.sp, frame.frame_type)


@LIVE
def test_every_frame(opened: Opened) -> None:
    threads = {thread.address: thread for thread in opened.dump.session.threads}
    rows = opened.case.answers("threads")
    assert {int(row["address"], 16) for row in rows} <= set(threads)
    for row in rows:
        thread = threads[int(row["address"], 16)]
        assert list(walked(opened, thread)) == list(told(row)), (thread.managed_id, thread.name)


@LIVE
def test_methods_of_internal_calls(opened: Opened) -> None:
    wanted = {
        (int(frame["sp"], 16), int(frame["md"], 16))
        for row in opened.case.answers("threads")
        for frame in row["frames"]
        if frame["kind"] == "Runtime" and frame["md"] is not None
    }
    found = {
        (frame.sp, frame.method_desc)
        for thread in opened.dump.session.threads
        for frame in opened.dump.session.stacks.walk(thread)
        if isinstance(frame, ExplicitFrame)
    }
    assert wanted <= found


@LIVE
def test_il_offsets(opened: Opened) -> None:
    """The oracle maps a return address in ready-to-run code as it is, so it may name the statement behind the call; -1 to -3 are marks.

    Of a method that was compiled again it asks the map of the first code, and then gives that map's second entry (blind spot 15): of the
    framework, which comes compiled, only that first code is compared.
    """
    session = opened.dump.session
    rows = [frame for row in opened.case.answers("threads") for frame in row["frames"] if frame["kind"] != "Runtime"]
    wanted = {(int(frame["ip"], 16), int(frame["sp"], 16)): frame["il_offset"] for frame in rows}
    agreed = 0
    for thread in session.threads:
        for frame in session.stacks.walk(thread):
            if not isinstance(frame, ManagedFrame) or frame.code.method is None or frame.code.method.kind != "managed":
                continue
            offset = wanted[frame.ip, frame.sp]
            again = not frame.code.is_ready_to_run and frame.code.method.declaring_type.startswith(FRAMEWORK)
            if again or offset is None or offset < 0:
                continue
            mapped = session.il_maps.map_of(frame.code)
            assert mapped is not None
            own = (mapped.il_offset(frame.native_offset - 1), mapped.il_offset(frame.native_offset))
            assert offset in (*own, mapped.bounds[1].il_offset), (frame.code.method, hex(frame.ip), offset)
            agreed += offset in own
    assert agreed
