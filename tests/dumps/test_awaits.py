"""Async methods that never go on by themselves, and why: circles, queues, lost promises, builders and awaiters of the program's own."""

import re
from collections.abc import Callable

import pytest

import heaphound
from heaphound.errors import UsageError
from heaphound.results.tasks import AsyncStackRow, TasksResult
from tests.lab.dumps import PROGRAMS, LabDump, Recipe

BUILDS = (("3.1.2", False), ("8.0.4", False), ("10.0.11", True))
PROMISE = "a TaskCompletionSource that nobody has completed"
KEPT = "System.Threading.Tasks.Task<System.Int32> that nobody has completed; no TaskCompletionSource of it is left"
CIRCLE = "the one at {}, which waits for it: a circle, in which none can go on"
TURN = "its turn: what it awaited has ended, and it is "
STACKS: dict[tuple[str, ...], tuple[str, int]] = {
    ("Deep.Down",) * 61: (f"{PROMISE}, held by static Awaits.Deep.Gate", 1),
    ("Circles.Second", "Circles.First", "Circles.Outside"): (CIRCLE, 1),
    ("Circles.Self",): ("itself: a circle, in which none can go on", 1),
    ("Queued.InContext",): ("its turn: it is posted to Awaits.Pump at {}, which has not run it", 1),
    ("Queued.EndedInContext",): (f"{TURN}posted to Awaits.Pump at {{}}, which has not run it", 1),
    ("Queued.InScheduler",): ("its turn: it is posted to Awaits.Slow at {}, which has not run it", 1),
    ("Queued.InPool",): ("its turn: it is in the queue of the thread pool", 1),
    ("Queued.EndedInPool",): (f"{TURN}in the queue of the thread pool", 1),
    ("Promises.InDictionary",): (f"{PROMISE}, in a System.Collections.Generic.Dictionary<{{}}> held by Awaits.Registry.Pending", 1),
    ("Promises.Lost",): (f"{PROMISE}, held only by a local of Awaits.Promises.Lost: own", 1),
    ("Promises.OfTimer",): (f"{PROMISE}, in a System.Threading.CancellationTokenSource, which a timer completes when it is due", 1),
    ("Tasks.NeverStarted",): ("Awaits.Tasks+<>c.<.cctor>{}(), a task that nobody has started", 1),
    ("Tasks.OfChild",): ("Awaits.Tasks+<>c.<OfChild>{}(), a task that is done but for the child tasks attached to it", 1),
    ("Awaiters.OfStatic",): ("whoever calls its continuation, held by static Awaits.Static.Later", 1),
    ("Awaiters.OfList",): ("whoever calls its continuation, held by Awaits.Listed+<>c__DisplayClass{}.then", 1),
    ("Receiver.Run",): ("receive on a socket at {}", 1),
    ("Jobs.Inner", "Jobs.Outer", "Jobs.Run"): (f"{PROMISE}, held by static Awaits.Jobs.Gate", 1),
    ("Channels.Write",): ("room in System.Threading.Channels.BoundedChannel<System.Int32> at {}, held by static Awaits.Channels.Full", 1),
    ("Channels.Completion",): (f"{PROMISE}, in a System.Threading.Channels.BoundedChannel<{{}}> held by static Awaits.Channels.Full", 1),
    ("Threads.Main",): ("nothing: it runs", 1),
    ("Threads.Sleeping",): ("Task.Delay without end", 1),
    (): (f"{PROMISE}, held by static Awaits.Threads.Gate", 1),
}


@pytest.fixture(scope="module", params=BUILDS, ids=lambda build: f"{build[0]}{'-release' * build[1]}")
def build(request: pytest.FixtureRequest) -> tuple[str, bool]:
    runtime, release = request.param
    return runtime, release


@pytest.fixture(scope="module")
def dump(build: tuple[str, bool], dump_factory: Callable[[Recipe], LabDump]) -> heaphound.Dump:
    made = dump_factory(Recipe("Awaits", build[0], release=build[1]))
    return heaphound.open(made.path, symbols=[PROGRAMS / "Awaits" / ("binrelease" if build[1] else "bin")])


@pytest.fixture(scope="module")
def result(dump: heaphound.Dump) -> TasksResult:
    return dump.tasks().result


def found(result: TasksResult, *methods: str) -> list[AsyncStackRow]:
    names = tuple(f"Awaits.{method}" for method in methods)
    return [stack for stack in result.stacks if tuple(frame.method for frame in stack.frames) == names]


def test_what_each_waits_for(result: TasksResult) -> None:
    for methods, (words, count) in STACKS.items():
        (stack,) = found(result, *methods)
        pattern = re.escape(words).replace(re.escape("{}"), ".*")
        assert re.fullmatch(pattern, stack.waits_for or ""), (methods, stack.waits_for)
        assert (stack.count, stack.outermost_count) == (count, count), methods


def test_a_wait_handle_completes_a_promise(build: tuple[str, bool], result: TasksResult) -> None:
    """In 3.1 the runtime itself, in native memory, holds what waits for the handle: no object leads there."""
    (stack,) = found(result, "Promises.OfHandle")
    words = {"3.1.2": "held only by a local of Awaits.Promises.OfHandle: own"}
    expected = words.get(build[0], "which a wait handle completes when it is set (ThreadPool.RegisterWaitForSingleObject)")
    assert stack.waits_for == f"{PROMISE}, {expected}"


def test_alike_ones_are_told_apart_by_what_they_wait_for(result: TasksResult) -> None:
    crowd, own = found(result, "Promises.Crowded")
    assert (crowd.count, crowd.awaiting_count, crowd.waits_for) == (16, 1, f"{PROMISE}, held by static Awaits.Promises.Crowd")
    assert (own.count, own.awaiting_count, own.waits_for) == (4, 1, f"{PROMISE}, held by static Awaits.Promises.Mine")
    (numbered,) = found(result, "Promises.Numbered")
    assert (numbered.count, numbered.awaiting_count) == (40, 20)
    assert (numbered.waits_for or "").endswith("> held by static Awaits.Promises.ByNumber")


def test_tasks_that_are_gone(build: tuple[str, bool], result: TasksResult) -> None:
    """Of three tasks, one of them twice, one is lost: up to 6.0 Task.WhenAll itself keeps it; what Unwrap waits for nobody keeps."""
    stacks = [stack for stack in result.stacks if stack.frames and stack.frames[-1].method == "Awaits.Gone.All"]
    kept = build[0] == "3.1.2"
    assert sorted(stack.waits_for or "" for stack in stacks) == [
        *[KEPT] * kept,
        f"{PROMISE}, held by static Awaits.Gone.Gate",
    ]
    assert {stack.frames[0].note for stack in stacks} == {"3 tasks left" if kept else "3 tasks left, 1 of them no longer on the heap"}
    (unwrap,) = [stack for stack in result.stacks if stack.frames and stack.frames[-1].method == "Awaits.Gone.Unwrap"]
    assert [frame.kind for frame in unwrap.frames] == ["unwrap", "method"]
    assert unwrap.waits_for == "tasks that are no longer on the heap: nothing will end them"


def test_threads_that_run_and_that_wait(result: TasksResult) -> None:
    (running,) = found(result, "Threads.Main")
    (inner,) = found(result, "Threads.Sleeping")
    (alone,) = found(result)
    assert [thread.method for thread in running.running] == ["Awaits.Threads.Inner()"]
    assert running.blocked == ()
    assert [(thread.os_id, thread.task) for thread in inner.blocked] == [(running.running[0].os_id, inner.frames[-1].address)]
    assert [(thread.name, thread.method, thread.task) for thread in alone.blocked] == [
        ("timed", "Awaits.Threads.Timed()", alone.awaiting_address)
    ]


def test_tasks_by_how_far_they_have_come(build: tuple[str, bool], result: TasksResult) -> None:
    """In 3.1 the loop of System.Net.Sockets (SocketAsyncEngine.EventLoop) is a task of its own."""
    counts = result.counts
    assert counts is not None
    assert (counts.created, counts.queued, counts.waiting_for_children, counts.cancelled) == (1, 2, 1, 1)
    assert (counts.running, counts.faulted) == (2 if build[0] == "3.1.2" else 1, 4)
    assert [(fault.type, fault.count, fault.unobserved) for fault in result.faults] == [
        ("System.IO.IOException", 3, 3),
        ("System.ArgumentException", 1, 0),
    ]
    assert all(fault.exception is not None for fault in result.faults)


def test_arguments_and_locals(dump: heaphound.Dump) -> None:
    """Down(60) awaits Down(59) ... Down(0); of its own promise a method keeps the local in either build."""
    (deep,) = dump.tasks(text="Deep.Down", variables=True).result.stacks
    values = [{row.name: (row.kind, row.value) for row in frame.variables or ()} for frame in deep.frames]
    assert [value["n"] for value in values] == [("argument", number) for number in range(61)]
    (lost,) = dump.tasks(text="promises.LOST", variables=True).result.stacks
    assert [(row.kind, row.name, row.type) for row in lost.frames[0].variables or () if row.kind != "temporary"] == [
        ("local", "own", "System.Threading.Tasks.TaskCompletionSource<System.String>")
    ]
    assert deep.frames[0].variables is not None
    assert dump.tasks(text="Deep.Down").result.stacks[0].frames[0].variables is None


def test_stacks_through_an_object(dump: heaphound.Dump, result: TasksResult) -> None:
    (deep,) = found(result, *["Deep.Down"] * 61)
    assert dump.tasks(address=deep.frames[30].address).result.stacks == (deep,)
    crowd = found(result, "Promises.Crowded")[0]
    last = dump.tasks(address=crowd.awaiting_address).result.stacks
    assert [stack.count for stack in last] == [16]
    (source,) = [
        index
        for index in dump.session.graph.referrers(dump.session.table.index_of(crowd.awaiting_address or 0) or 0)
        if _is_source(dump, index)
    ]
    assert dump.tasks(address=dump.session.table.address_of(int(source))).result.stacks == last
    with pytest.raises(UsageError, match="nothing that waits"):
        dump.tasks(address=0x1234)


def _is_source(dump: heaphound.Dump, index: int) -> bool:
    return dump.session.objects.type_of(dump.session.table.address_of(int(index))).name.startswith(
        "System.Threading.Tasks.TaskCompletionSource<"
    )
