"""Exceptions with their stack traces against the oracle; locks and waiting threads against what the programs do."""

import pytest

from heaphound.runtime.stacks.frame import ManagedFrame
from tests.dumps.conftest import Opened
from tests.dumps.test_stacks_agree import LIVE, STACK_CASES
from tests.lab.cases import ZOO_CASES

DEADLOCKED = pytest.mark.parametrize(
    "opened", [pytest.param(case, id=case.name, marks=pytest.mark.oracle) for case in ZOO_CASES if "3.1" not in case.name], indirect=True
)
BLOCKED = pytest.mark.parametrize(
    "opened", [pytest.param(case, id=case.name, marks=pytest.mark.oracle) for case in STACK_CASES if "blocked" in case.name], indirect=True
)


@LIVE
def test_every_exception(opened: Opened) -> None:
    found = {row.address: row for row in opened.dump.exceptions(strings=True).result.exceptions}
    rows = opened.case.answers("exceptions")
    theirs = {int(row["address"], 16) for row in rows}
    # The oracle's walk ends a segment at the first object that a collection in progress has moved or linked (its blind spot 27).
    assert theirs <= set(found) if opened.dump.session.gc_heap.collecting else theirs == set(found)
    for row in rows:
        ours = found[int(row["address"], 16)]
        inner = None if row["inner"] is None else int(row["inner"], 16)
        assert (ours.type, ours.hresult, ours.inner) == (row["type"], int(row["hresult"], 16), inner)
        assert row["message"] in (ours.message, None) or ours.message is None  # the oracle makes up the default text of an absent message
        assert [(frame.ip, frame.sp) for frame in ours.frames] == [(int(frame["ip"], 16), int(frame["sp"], 16)) for frame in row["frames"]]


@DEADLOCKED
def test_two_threads_wait_for_each_other(opened: Opened) -> None:
    result = opened.dump.locks().result
    names = {thread.managed_id: thread.name for thread in opened.dump.session.threads}
    (cycle,) = result.deadlocks
    assert sorted(names[step.thread] for step in cycle) == ["dead-1", "dead-2"]
    assert {step.thread for step in cycle} == {step.held_by for step in cycle}
    held = {lock.object: lock for lock in result.locks}
    for step in cycle:
        lock = held[step.wants]
        assert (lock.owner, lock.entering, lock.entering_threads, lock.recursion) == (step.held_by, 1, (step.thread,), 1)


@DEADLOCKED
def test_what_threads_wait_for(opened: Opened) -> None:
    waits = {thread.name: thread.waits for thread in opened.dump.threads().result.threads if thread.name is not None}
    assert {name: waits[name].kind for name in ("parked-1", "parked-2", "dead-1", "dead-2")} == {
        "parked-1": "sleep",
        "parked-2": "sleep",
        "dead-1": "monitor enter",
        "dead-2": "monitor enter",
    }


@BLOCKED
def test_handlers_and_what_is_dead_behind_them(opened: Opened) -> None:
    stacks = {thread.name: list(opened.dump.session.stacks.walk(thread)) for thread in opened.dump.session.threads if thread.name}

    def named(name: str, mark: str) -> list[str]:
        return [frame.code.method.name for frame in stacks[name] if isinstance(frame, ManagedFrame) and getattr(frame, mark)]

    assert named("catch", "parent_of_funclet") == ["InCatch"]
    assert named("catch", "dead") == named("catch", "unwound") == ["Throw"] * 5
    assert named("normal-finally", "parent_of_funclet") == ["InNormalFinally"]
    assert named("normal-finally", "dead") == []
    assert named("filter", "filter_funclet") == ["InFilter"]
    assert named("filter", "dead") == named("filter", "unwound") == named("filter", "parent_of_funclet") == []
    assert named("fault", "interrupted") == ["InFaultCatch"]


@BLOCKED
def test_exceptions_that_are_being_handled(opened: Opened) -> None:
    found = {row.name: [exception.type for exception in row.nested_exceptions] for row in opened.dump.threads().result.threads}
    assert (found["catch"], found["nested-catch"]) == (["System.InvalidOperationException"], ["System.InvalidOperationException"] * 2)
    assert found["fault"] == ["System.NullReferenceException"]


@BLOCKED
def test_the_merged_tree_holds_every_thread_once(opened: Opened) -> None:
    result = opened.dump.stack(parallel=True).result
    ends = [thread for row in result.parallel for thread in row.ends]
    assert sorted([*ends, *result.without_frames]) == sorted(thread.managed_id for thread in opened.dump.session.threads)
    assert all(set(row.ends) <= set(row.threads) for row in result.parallel)
