"""What a hung service's threads wait for, who has that, and which wait for each other, against what the program Hung says of itself.

The oracle knows sync blocks alone: of the 50 threads it tells the locks of six.
"""

from typing import Any

import pytest

import heaphound
from heaphound.errors import UsageError
from heaphound.results.exceptions import ThrownFrameRow
from heaphound.results.object import Reference
from heaphound.results.threads import ThreadRow
from tests.lab.dumps import PROGRAMS, LabDump, Recipe, make_dump
from tests.lab.runtimes import VERSIONS

# Both builds of the program come about; the runtime's own code is optimised everywhere.
RECIPES = [Recipe("Hung", version, release=version in ("8.0.4", "10.0.11")) for version in VERSIONS]
# Optimised code of these threads may have the event inside alone.
PARTS = {
    "countdown": ("System.Threading.CountdownEvent", "System.Threading.ManualResetEventSlim"),
    "barrier": ("System.Threading.Barrier",),
}


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: f"{recipe.runtime}{'-release' if recipe.release else ''}")
def hung(request: pytest.FixtureRequest) -> LabDump:
    return make_dump(request.param)


def test_each_thread_waits_for_what_the_program_says(hung: LabDump) -> None:
    told: dict[str, dict[str, Any]] = hung.facts["threads"]
    rows = {row.name: row for row in heaphound.open(hung.path).threads().result.threads if row.name in told}
    assert rows.keys() == told.keys()
    names = {row.managed_id: row.name for row in rows.values()}
    assert {name: _said(rows[name], names) for name in told} == {name: _wanted(fact) for name, fact in told.items()}
    for name, types in PARTS.items():
        wait = rows[name].waits
        assert wait is not None
        assert wait.type in types
    readers = {
        name: [names[item] for item in row.waits.readers] for name, row in rows.items() if row.waits is not None and row.waits.readers
    }
    assert readers == {"upgrades": ["reader"], "mixed-entered": ["mixed-written"]}
    ended = {name for name, row in rows.items() if row.waits is not None and row.waits.owner_ended}
    assert ended == {"of-the-dead", "lock-of-the-dead"} & told.keys()


def _said(row: ThreadRow, names: dict[int, str | None]) -> tuple[str | None, str | None, str | None]:
    """Kind, type, and the name of the thread that has it, `@` for one that the program did not name."""
    wait = row.waits
    if wait is None:
        return None, None, None
    owner = None if wait.owner is None else names.get(wait.owner, "@")
    untold = row.name in PARTS or (owner == "@" and row.name == "mixed-async")
    return wait.kind, None if untold else wait.type, owner


def _wanted(fact: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    owner = fact.get("owner")
    return fact["kind"], fact.get("type") or None, "@" if owner is not None and owner.startswith("@") else owner


def test_threads_that_wait_for_each_other_are_found(hung: LabDump) -> None:
    dump = heaphound.open(hung.path)
    names = {row.managed_id: row.name for row in dump.threads().result.threads}
    result = dump.locks().result
    told = hung.facts["threads"]
    found = sorted(sorted(names[step.thread] or "@" for step in cycle if names[step.thread] in told) for cycle in result.deadlocks)
    assert found == sorted(sorted(cycle) for cycle in hung.facts["deadlocks"])
    assert all(step.held_by == after.thread for cycle in result.deadlocks for step, after in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    behind = {names[item] for items in result.behind for item in items}
    assert behind == {"bystander"}


def test_locks_tells_holders_and_waiters_of_all_kinds(hung: LabDump) -> None:
    told = hung.facts["threads"]
    result = heaphound.open(hung.path).locks().result
    ids = {name: fact["id"] for name, fact in told.items()}
    by_threads = {row.entering_threads: row for row in result.locks}
    written = by_threads[(ids["wants-read"], ids["wants-write"])]
    assert (written.kind, written.owner, written.readers) == ("reader-writer lock", ids["writer"], ())
    upgraded = by_threads[(ids["upgrades"],)]
    assert (upgraded.owner, upgraded.readers) == (ids["upgrades"], (ids["reader"],))
    abandoned = by_threads[(ids["of-the-dead"],)]
    assert (abandoned.kind, abandoned.owner, abandoned.owner_ended) == ("monitor", ids["dead"], True)
    assert [row.owner for row in result.locks if row.kind == "thin" and row.type == "Hung.Stock"] == [ids["thin-holder"]]
    initializers = {row.type: row.owner for row in result.locks if row.kind == "type initializer"}
    assert initializers == {"Hung.Settings": ids["initializes"], "Hung.Prices": ids["mixed-initializer"]}
    inside = {row.inside for row in result.locks if row.inside is not None}
    assert {"event", "semaphore", "task"} <= inside
    assert all(row.owner is None for row in result.locks if row.inside is not None)


def test_a_thread_is_found_by_id_and_by_name(hung: LabDump) -> None:
    dump = heaphound.open(hung.path)
    (row,) = dump.stack("ab").result.threads
    for wanted in (row.managed_id, row.os_id):
        assert [found.name for found in dump.stack(wanted).result.threads] == ["ab"]
    with pytest.raises(UsageError, match=r"no thread with the name 'abba': names are .*\bab\b.*; managed ids are 1, 2,"):
        dump.stack("abba")


def test_exceptions_that_are_handled_inside_of_each_other(hung: LabDump) -> None:
    dump = heaphound.open(hung.path)
    (row,) = dump.stack("handles").result.threads
    nested = ["System.InvalidOperationException", "System.FormatException", "System.ArgumentException"]
    assert row.exception is not None
    assert row.exception.type == nested[0]
    assert [found.type for found in row.nested_exceptions] == nested
    rows = {found.address: found for found in dump.exceptions(strings=True).result.exceptions}
    assert [rows[found.address].message for found in row.nested_exceptions] == ["inner", "middle", "outer"]
    assert all(rows[found.address].threads == (row.managed_id,) for found in row.nested_exceptions)
    assert all(line.line == line_of(line) for found in row.nested_exceptions for line in rows[found.address].frames)


def line_of(frame: ThrownFrameRow) -> int | None:
    """The frames of these exceptions are of lines that throw."""
    source = (PROGRAMS / "Hung" / "Program.cs").read_text().splitlines()
    return frame.line if frame.line is not None and "{ throw new " in source[frame.line - 1] else None


def test_all_inner_exceptions_of_an_aggregate(hung: LabDump) -> None:
    rows = {row.address: row for row in heaphound.open(hung.path).exceptions(strings=True).result.exceptions}
    (failed,) = [row for row in rows.values() if row.type == "System.AggregateException"]
    assert [rows[inner].type for inner in failed.inners] == ["System.InvalidOperationException", "System.FormatException"]
    assert failed.inner == failed.inners[0]


def test_what_lambdas_and_iterators_share_is_shown(hung: LabDump) -> None:
    dump = heaphound.open(hung.path)
    captured = {}
    for name in ("captures", "iterates"):
        (row,) = dump.stack(name, variables=True, strings=True).result.threads
        for frame in row.frames:
            captured.update({(name, field.name): field.value for item in frame.arguments or () for field in item.captured})
    if hung.recipe.release:  # optimised code needs `this` no more while it sleeps
        return
    text = captured["captures", "shared"]
    assert isinstance(text, Reference)
    assert text.text == "kept"
    assert captured["captures", "number"] == 8
    assert captured["iterates", "from"] == 3
    assert captured["iterates", "<current>5__1"] == 4
