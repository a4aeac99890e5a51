"""Every way in which an async method can wait: the whole logical stack, what is at its bottom, and the threads at its ends."""

import re
from collections.abc import Callable

import pytest

import heaphound
from heaphound.results.tasks import AsyncStackRow
from tests.lab.dumps import PROGRAMS, LabDump, Recipe
from tests.lab.runtimes import VERSIONS

# What is awaited first, then who awaits it; and how the bottom is told: `{}` is an address, or the name of the row.
PROMISE = "a TaskCompletionSource that nobody has completed, held by static Asyncs.{}.Never"
STACKS: dict[str, tuple[tuple[str, ...], str]] = {
    "Chain": (("Chain.Inner", "Chain.Middle", "Chain.Run"), PROMISE),
    "ValueTasks": (("ValueTasks.Inner", "ValueTasks.Middle", "ValueTasks.Run"), PROMISE),
    "Iterators": (("Iterators.Numbers", "Iterators.Doubled", "Iterators.Run"), PROMISE),
    "Abandoned": (("Abandoned.Numbers",), "whoever asks the iterator for more"),
    "Sources": (("Sources.Run",), "a result that Asyncs.Source has not been given"),
    "Custom": (("Custom.Run",), "Asyncs.Gate, an awaiter or source of its own kind"),
    "CustomUnsafe": (("CustomUnsafe.Run",), "Asyncs.UnsafeGate, an awaiter or source of its own kind"),
    "All of promises": (("All.One", "Task.WhenAll", "All.Run"), PROMISE),
    "All with a delay": (("All.Two", "Task.WhenAll", "All.Run"), "Task.Delay of 2 h"),
    "AllOfInt": (("AllOfInt.One", "Task.WhenAll", "AllOfInt.Run"), PROMISE),
    "Any": (("Any.One", "Task.WhenAny", "Any.Run"), PROMISE),
    "Delays": (("Delays.Run",), "Task.Delay of 1.5 h"),
    "Delays for ever": (("Delays.RunForEver",), "Task.Delay without end"),
    "Semaphores": (("Semaphores.Run",), "a SemaphoreSlim at {}, whose count is 0, held by static Asyncs.Semaphores.Limit"),
    "Channels": (
        ("Channels.Run",),
        "data in System.Threading.Channels.UnboundedChannel<System.Int32> at {}, held by static Asyncs.Channels.Orders",
    ),
    "Channels, all": (
        ("System.Threading.Channels.ChannelReader<T>.ReadAllAsync", "Channels.RunAll"),
        "data in System.Threading.Channels.SingleConsumerUnboundedChannel<System.Int32> at {}, held by static Asyncs.Channels.Single",
    ),
    "Channels, full": (
        ("Channels.RunWrite",),
        "room in System.Threading.Channels.BoundedChannel<System.Int32> at {}, held by static Asyncs.Channels.Full",
    ),
    "Sockets": (
        ("System.IO.StreamReader.ReadBufferAsync", "System.IO.StreamReader.ReadLineAsyncInternal", "Sockets.RunReader"),
        "receive on a socket at {}",
    ),
    "Schedulers": (("Schedulers.Inner", "Task.Unwrap"), PROMISE),
    "Continued": (("Continued.First(", "Continued+<>c.<Run>", "Continued.Run"), PROMISE),
    "Continued, alone": (("Continued.Alone(",), PROMISE),
    "Unwrapped": (("lambda in Unwrapped.Run", "Task.Unwrap", "Unwrapped.Run"), PROMISE),
    "Unwrapped, by hand": (("Unwrapped.Inner", "Task.Unwrap", "Unwrapped.RunUnwrap"), PROMISE),
    "Cancelled": (
        ("Cancelled.Run",),
        "a TaskCompletionSource that nobody has completed, held by Asyncs.Cancelled+<>c__DisplayClass1_0.done",
    ),
    "Voids": (("Voids.Inner", "Voids.Run"), PROMISE),
    "Blocked": (("Blocked.Deeper", "Blocked.Load"), PROMISE),
    "Shared": (("Shared.Load", "Shared.User", "Task.WhenAll", "Shared.Run"), PROMISE),
    "Generic": (("Generic<T>.Run",), "a TaskCompletionSource that nobody has completed, held by Asyncs.Generic<System.String>.never"),
    "Generic, local": (("local function Local in Generic<T>.RunLocal", "Generic<T>.RunLocal"), "a TaskCompletionSource that nobody"),
    "Generic, lambda": (("lambda in Generic<T>.get_RunLambda",), "a TaskCompletionSource that nobody has completed"),
    "Ambient": (("Ambient.Run",), PROMISE),
    "Disposing": (("Disposing+Slow.DisposeAsync", "Disposing.Run"), PROMISE),
    "Working": (("Working.Inner", "Working.Run"), "nothing: it runs"),
    "Context": (("Context.Inner", "Context.Run"), PROMISE),
    "ContextDeadlock": (
        ("ContextDeadlock.Load",),
        "its turn: what it awaited has ended, and it is posted to Asyncs.Pump at {}, which has not run",
    ),
}
SINCE_6: dict[str, tuple[tuple[str, ...], str]] = {
    "Pooled": (("Pooled.Inner", "Pooled.Middle", "Pooled.Run"), PROMISE),
    "Timeouts": (("Task.WaitAsync", "Timeouts.Run"), PROMISE),
    "Ticker": (("Ticker.Run",), "the next tick of a PeriodicTimer"),
    "ParallelLoop": (
        ("lambda in ParallelLoop.Run", "lambda in System.Threading.Tasks.Parallel+<>", "Parallel.ForEachAsync", "ParallelLoop.Run"),
        PROMISE,
    ),
}
COUNTS = {"ParallelLoop": 2, "All of promises": 2, "AllOfInt": 2, "Any": 2, "Blocked": 5, "Shared": 3}


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stacks(version: str, dump_factory: Callable[[Recipe], LabDump]) -> tuple[AsyncStackRow, ...]:
    build = "bin31" if version.startswith("3.") else "bin"
    dump = dump_factory(Recipe("Asyncs", version))
    return heaphound.open(dump.path, symbols=[PROGRAMS / "Asyncs" / build]).tasks().result.stacks


def found(stacks: tuple[AsyncStackRow, ...], methods: tuple[str, ...]) -> AsyncStackRow:
    """The one stack of these methods; names of the program are given without its namespace."""
    names = [[frame.method.replace("Asyncs.", "", 1) for frame in stack.frames] for stack in stacks]
    matching = [
        stack
        for stack, shown in zip(stacks, names, strict=True)
        if len(shown) == len(methods) and all(_is(name, wanted) for name, wanted in zip(shown, methods, strict=True))
    ]
    assert len(matching) == 1, (methods, names)
    return matching[0]


def _is(name: str, wanted: str) -> bool:
    return name.startswith(wanted) if wanted.endswith(("(", ">")) and "." in wanted else name == wanted


def test_every_stack_is_whole(version: str, stacks: tuple[AsyncStackRow, ...]) -> None:
    for name, (methods, words) in {**STACKS, **({} if version.startswith("3.") else SINCE_6)}.items():
        stack = found(stacks, methods)
        assert stack.count == COUNTS.get(name, 1), name
        told = re.sub("0x[0-9a-f]+", "{}", stack.waits_for or "")
        assert told.startswith(words.replace("Asyncs.{}", f"Asyncs.{re.split('[ ,]', name)[0]}")), (name, told)


def test_awaits_are_at_their_lines(stacks: tuple[AsyncStackRow, ...]) -> None:
    source = (PROGRAMS / "Asyncs" / "Program.cs").read_text().splitlines()
    frames = {frame.method: frame for stack in stacks for frame in stack.frames if frame.kind == "method"}
    for mark in ("Chain.Run", "Chain.Middle", "Chain.Inner", "Iterators.Run", "Iterators.Numbers"):
        line = next(number for number, text in enumerate(source, 1) if f"/* @{mark} */" in text)
        assert (frames[f"Asyncs.{mark}"].file, frames[f"Asyncs.{mark}"].await_line) == ("Program.cs", line)


def test_threads_at_the_ends(stacks: tuple[AsyncStackRow, ...]) -> None:
    blocked = {thread.name: thread for thread in found(stacks, ("Blocked.Deeper", "Blocked.Load")).blocked}
    assert {name: thread.method for name, thread in blocked.items()} == {
        "blocked-result": "Asyncs.Blocked.RunResult()",
        "blocked-wait": "Asyncs.Blocked.RunWait()",
        "blocked-get-result": "Asyncs.Blocked.RunGetResult()",
        "blocked-all": "Asyncs.Blocked.RunAll()",
    }
    assert {thread.waits for thread in blocked.values()} == {"task"}
    (running,) = found(stacks, ("Working.Inner", "Working.Run")).running
    assert (running.method, running.waits) == ("Asyncs.Working.Work()", "sleep")
    (deadlocked,) = found(stacks, ("ContextDeadlock.Load",)).blocked
    assert deadlocked.name == "deadlocked"


def test_methods_that_the_runtime_suspends(dump_factory: Callable[[Recipe], LabDump]) -> None:
    """The program's methods got MethodImplOptions.Async after compiling; the runtime suspends them and keeps Continuation objects."""
    dump = dump_factory(Recipe("RuntimeAsync", "10.0.11", settings=(("RuntimeAsync", "1"),)))
    opened = heaphound.open(dump.path, symbols=[PROGRAMS / "RuntimeAsync" / "bin"])
    rows = opened.tasks(text="Suspended.Outer").result.stacks
    suspended = [
        ("get_Task of System.Private.CoreLib", "suspended", 0),  # the await of a task that a property gives
        ("RuntimeAsync.Suspended.Inner(System.String)", "suspended", 0),
        ("RuntimeAsync.Suspended.Middle(System.Int32)", "suspended", 1),
        ("RuntimeAsync.Suspended.Outer(System.Int32)", "suspended", 0),
    ]
    shown = sorted(([(frame.method, frame.kind, frame.state) for frame in row.frames] for row in rows), key=len)
    assert shown == [suspended, [*suspended, ("RuntimeAsync.Program.Classic", "method", 0)]]
    assert {row.waits_for for row in rows} == {PROMISE.format("").replace("Asyncs..", "RuntimeAsync.Program.")}
    assert all(row.frames[1].file == "Program.cs" for row in rows)
    (deep,) = opened.tasks(text="Suspended.Deep").result.stacks
    assert [frame.method.partition("(")[0] for frame in deep.frames[1:]] == [
        *["RuntimeAsync.Suspended.Deep"] * 21,
        "Task.WhenAll",
        "RuntimeAsync.Program.Both",
    ]
    assert (deep.count, deep.outermost_count, deep.frames[-2].note) == (2, 1, "2 tasks left")
    assert deep.waits_for == PROMISE.format("").replace("Asyncs..Never", "RuntimeAsync.Program.Deeper")


def test_what_later_runtimes_wait_for(dump_factory: Callable[[Recipe], LabDump]) -> None:
    """Task.WhenEach, which no task stands for, and pipes of the shared framework."""
    dump = dump_factory(Recipe("RuntimeAsync", "10.0.11", settings=(("RuntimeAsync", "1"),)))
    rows = heaphound.open(dump.path, symbols=[PROGRAMS / "RuntimeAsync" / "bin"]).tasks().result.stacks
    told = {
        (*(frame.method.removeprefix("RuntimeAsync.Program.") for frame in row.frames), row.waits_for)
        for row in rows
        if not any("Suspended" in frame.method for frame in row.frames)
    }
    each = ("Part", "Task.WhenEach", "System.Threading.Tasks.Task+WhenEachState.Iterate", "Each")
    promise = PROMISE.format("").removesuffix("Asyncs..Never") + "RuntimeAsync.Program."
    assert told == {
        (*each, f"{promise}Never"),
        (*each, f"{promise}Deeper"),
        ("EachOfNone", f"{promise}Never"),
        ("ReadPipe", "data in a pipe (System.IO.Pipelines)"),
        ("WritePipe", "room in a pipe (System.IO.Pipelines)"),
    }
