"""One leak a program: the first finding names what piles up, the field that holds it, and the code that put it there."""

from collections.abc import Callable
from pathlib import Path

import pytest

import heaphound
from heaphound.results.analyze import Finding
from tests.lab.dumps import PROGRAMS, LabDump, Recipe, leaks

COUNT = 20_000
SYMBOLS = PROGRAMS / "Leaks" / "bin"
SOURCE = (PROGRAMS / "Leaks" / "Program.cs").read_text().splitlines()
VERSION = "9.0.11"


def first_finding(dump: Path) -> Finding:
    result = heaphound.open(dump, symbols=[SYMBOLS]).analyze().result
    assert result.verdict == "leak"
    return result.findings[0]


def line_with(text: str) -> int:
    (line,) = [number for number, content in enumerate(SOURCE, 1) if text in content]
    return line


@pytest.mark.parametrize(
    ("scenario", "holder", "field", "piles_up", "adds"),
    [
        ("static-cache", "Leaks.SessionCache", "sessions", "Leaks.Session", "public static void Add(Session s)"),
        ("queue-backlog", "Leaks.AuditTrail", "Backlog", "System.String", 'case "queue-backlog"'),
        ("thread-static", "Leaks.Program", "scratch", "System.Byte[]", 'case "thread-static"'),
    ],
)
def test_a_collection_that_only_grows(
    scenario: str, holder: str, field: str, piles_up: str, adds: str, dump_factory: Callable[[Recipe], LabDump]
) -> None:
    first = first_finding(dump_factory(leaks(VERSION, scenario, COUNT)).path)
    assert first.rule == "growing-collection"
    assert (first.holder.type, first.holder.field) == (holder, field)
    assert (first.root.declaring_type, first.root.field) == (holder, field)
    assert first.type == piles_up
    assert first.object_count == COUNT
    assert first.code[0].file == "Program.cs"
    assert first.code[0].line == line_with(adds)


def test_pinned_handles_that_are_never_freed(dump_factory: Callable[[Recipe], LabDump]) -> None:
    first = first_finding(dump_factory(leaks(VERSION, "pinned", COUNT)).path)
    assert first.rule == "rooted-objects"
    assert (first.root.kind, first.type, first.object_count) == ("pinned-handle", "System.Byte[]", COUNT)
    assert first.code[0].line == line_with('case "pinned"')


def test_a_finalizer_that_blocks(dump_factory: Callable[[Recipe], LabDump]) -> None:
    first = first_finding(dump_factory(leaks(VERSION, "finalizer-blocked", COUNT)).path)
    assert first.rule == "rooted-objects"
    assert (first.root.kind, first.type) == ("finalizer-queue", "Leaks.SlowFinalizer")
    # one of them is being finalized, and the last one is still held by the thread that made it
    assert COUNT - 2 <= first.object_count <= COUNT
    assert first.code[0].role == "blocks"
    assert first.code[0].line == line_with("class SlowFinalizer")


def test_a_clear_on_another_way_through_the_method_keeps_no_size(dump_factory: Callable[[Recipe], LabDump]) -> None:
    """Run adds to `keep` in most of its cases and clears it in one."""
    first = first_finding(dump_factory(leaks(VERSION, "closures", COUNT)).path)
    assert (first.rule, first.severity, first.holder.field, first.type) == (
        "growing-collection",
        "leak",
        "keep",
        "System.Func<System.Int32>",
    )


def test_callbacks_registered_as_an_action_are_told_by_their_own_method(dump_factory: Callable[[Recipe], LabDump]) -> None:
    """Register(Action) registers a lambda of CancellationToken's own, with the Action as its state."""
    first = first_finding(dump_factory(leaks(VERSION, "cancellation", COUNT)).path)
    assert (first.rule, first.object_count, first.root.field) == ("cancellation-registrations", COUNT, "Shutdown")
    assert first.code[0].line == line_with("shutdown.Register(Abort)")
    assert any("Leaks.RequestHandler.Abort()" in words for words in first.evidence)
