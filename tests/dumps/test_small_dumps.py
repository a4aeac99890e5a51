"""createdump --normal and --triage: threads and stacks are there, the heap is not, and every answer says so."""

from dataclasses import asdict

import pytest

import heaphound
from heaphound.errors import DumpError, HeaphoundError
from heaphound.views.page import Fact
from heaphound.views.text.tasks import page
from tests.lab import held
from tests.lab.dumps import Recipe, zoo
from tests.lab.kinds import Kind, make_kinds, make_small_crash

SMALL: list[tuple[str, Kind]] = [
    ("3.1.2", "normal"),
    ("6.0.6", "normal"),
    ("8.0.4", "normal"),
    ("9.0.11", "triage"),
    ("10.0.11", "normal"),
]
VERBS = ("heap", "types", "objects", "retained", "statics", "handles", "modules", "threads", "locks", "exceptions", "roots", "verify")


@pytest.fixture(scope="module", params=SMALL, ids="-".join)
def small(request: pytest.FixtureRequest) -> tuple[heaphound.Dump, heaphound.Dump]:
    """The small dump, and the full one of the same process."""
    runtime, kind = request.param
    cores = make_kinds(zoo(runtime), ("full", kind)).cores
    return heaphound.open(str(cores[kind])), heaphound.open(str(cores["full"]))


def test_the_kind_is_known_and_the_remedy_named(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    dump, _ = small
    answer = dump.info()
    assert answer.dump.kind == "createdump (mini)"
    assert any("--withheap" in note for note in answer.coverage.notes)
    states = {ability.name: ability.state for ability in answer.result.abilities}
    assert {name for name, state in states.items() if state == "unavailable"} >= {"statics", "handles"}
    assert (states["threads"], states["stacks"]) == ("available", "available")
    assert states["heap walk"] in ("partial", "unavailable")
    assert states["modules"] != "unavailable" != states["type names"]


def test_async_methods_are_not_counted_as_none(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    """Zoo has six that wait: what the file lacks of the heap is said beside the number, or there is no number."""
    answer = small[0].tasks()
    told = next(fact for fact in page(answer) if isinstance(fact, Fact))
    lacking = "not known: nothing of the heap is in this file" if answer.coverage.without_heap else " % of the heap that are in this file; "
    assert (told.label, answer.result.waiting is None) == ("Waiting", answer.coverage.without_heap)
    assert lacking in told.text


def test_what_is_not_there_is_not_taken_for_a_wrong_number(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    dump, _ = small
    for ability in dump.info().result.abilities:
        assert ability.state != "unavailable" or "not in this file" in ability.note, ability
        assert ability.state == "available" or ability.note, ability
    assert [ability.name for ability in dump.session.abilities if ability.failed is not None] == []


def test_threads_are_those_of_the_full_dump(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    dump, whole = small
    expected = [(row.managed_id, row.os_id, row.state) for row in whole.threads().result.threads]
    assert [(row.managed_id, row.os_id, row.state) for row in dump.threads().result.threads] == expected
    assert len(expected) >= 7


def frames(dump: heaphound.Dump) -> list[tuple[int, int, str]]:
    """Instruction and stack pointer and method of every managed frame, with the types of its arguments."""
    found = [frame for thread in dump.stack().result.threads for frame in thread.frames if frame.kind == "managed"]
    return [(frame.ip, frame.sp, frame.method or "") for frame in found]


def test_stacks_are_those_of_the_full_dump(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    """createdump adds what the walk over the stacks reads, and no other part of the runtime's map of code."""
    dump, whole = small
    found, expected = frames(dump), frames(whole)
    assert len(expected) > 20
    assert found == expected


def test_locks_are_refused_with_the_remedy_where_no_stack_happened_to_bring_their_table(
    small: tuple[heaphound.Dump, heaphound.Dump],
) -> None:
    dump, _ = small
    state = next(ability.state for ability in dump.info().result.abilities if ability.name == "locks")
    if state == "unavailable":
        with pytest.raises(DumpError, match=r"the table of locks is not in this file: .*--withheap"):
            dump.locks()
        return
    found, expected = ({(row.object, row.owner) for row in one.locks().result.locks if row.kind == "monitor"} for one in small)
    assert found == expected
    assert len(found) >= 2


@pytest.mark.parametrize("runtime", ["6.0.6", "8.0.4", "10.0.11"])
def test_a_crash_is_told_with_the_exceptions_and_their_stacks(runtime: str) -> None:
    """The runtime's own small dump of an unhandled exception has the exception objects, wherever on the heap they lie."""
    dump = heaphound.open(str(make_small_crash(Recipe("Extremes", runtime, ("unhandled",)))))
    rows = {row.type: row for row in dump.exceptions().result.exceptions}
    thrown = rows["System.ApplicationException"]
    assert thrown.threads == (1,)
    assert thrown.inner == rows["System.InvalidOperationException"].address
    assert [frame.method for frame in thrown.frames] == ["Extremes.Program.Throw()", "Extremes.Program.Main(System.String[])"]
    assert [frame.line for frame in thrown.frames] == [185, 38]
    assert waits_of_first(dump) == "createdump"


def waits_of_first(dump: heaphound.Dump) -> str:
    (kind,) = (row.waits.kind for row in dump.threads().result.threads if row.managed_id == 1 and row.waits is not None)
    return kind


def test_a_crash_by_fail_fast_says_so_and_shows_the_message() -> None:
    dump = heaphound.open(str(make_small_crash(Recipe("Extremes", "8.0.4", ("failfast",)), with_heap=True)))
    answer = dump.threads()
    signal = answer.result.signal
    assert signal is not None
    assert (signal.name, signal.managed_id, signal.fail_fast) == ("SIGABRT", 1, True)
    assert signal.exception is not None
    assert signal.exception.type == "System.ExecutionEngineException"
    assert waits_of_first(dump) == "createdump"
    (crashed,) = (thread for thread in dump.session.core.threads if thread.os_id == signal.os_id)
    crashed.registers.update(orig_rax=56)  # clone: stopped where it had made the process that writes the core, and did not wait for it yet
    assert waits_of_first(dump) == "createdump"
    assert not [note for note in answer.coverage.notes if "libcoreclr" in note]  # its code is read from the file: only data lacks pages
    (row,) = dump.stack(1, variables=True, strings=True).result.threads
    assert "an order is lost" in [reference.text for frame in row.frames for reference in frame.references or ()]


def test_modules_are_those_of_the_full_dump_and_no_context_is_unnamed_that_has_a_name(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    dump, whole = small
    found, expected = ({row.module: asdict(row) for row in one.modules().result.modules} for one in small)
    assert found.keys() == expected.keys()
    assert dump.modules().coverage.gaps == whole.modules().coverage.gaps == ()
    lacking = {place for key, row in found.items() for place in held.lacking(row, expected[key])}
    assert lacking <= {"load_context", "name", "version", "metadata"}  # all but the first of a module that was made in memory
    assert not [row["load_context"] for row in found.values() if "unnamed" in (row["load_context"] or "")]


def test_no_verdict_on_a_heap_that_is_not_there(small: tuple[heaphound.Dump, heaphound.Dump]) -> None:
    dump, _ = small
    answer = dump.analyze()
    assert answer.result.verdict == "unclear"
    assert answer.coverage.walked_bytes < answer.coverage.heap_bytes / 4 or not answer.coverage.walked_bytes  # 3.1: not even its segments
    assert not answer.coverage.complete
    assert any("the heap is not in this file" in note for note in answer.coverage.notes)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_answers_in_part_and_says_so_or_refuses(small: tuple[heaphound.Dump, heaphound.Dump], verb: str) -> None:
    dump, _ = small
    try:
        coverage = getattr(dump, verb)().coverage
    except HeaphoundError as error:
        said = [str(error)]
    else:
        said = [*coverage.gaps, *coverage.incomplete_roots, *coverage.notes]
    assert said or verb in ("threads", "modules", "locks")
