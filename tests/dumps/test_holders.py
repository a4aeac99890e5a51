"""Collections as services keep them: the finding names the program's own field that keeps what piles up, not one on the way to it."""

from collections.abc import Callable

import pytest

import heaphound
from heaphound.results.analyze import AnalyzeResult
from tests.lab.dumps import PROGRAMS, LabDump, Recipe

COUNT = 20_000
SYMBOLS = PROGRAMS / "Holders" / "bin"
SOURCE = (PROGRAMS / "Holders" / "Program.cs").read_text().splitlines()
DumpFactory = Callable[[Recipe], LabDump]


def analyzed(scenario: str, runtime: str, dump_factory: DumpFactory) -> AnalyzeResult:
    dump = dump_factory(Recipe("Holders", runtime, (scenario, str(COUNT))))
    return heaphound.open(dump.path, symbols=[SYMBOLS]).analyze().result


def line_with(text: str) -> int:
    (line,) = [number for number, content in enumerate(SOURCE, 1) if text in content]
    return line


@pytest.mark.parametrize("runtime", ["6.0.6", "10.0.11"])
@pytest.mark.parametrize(
    ("scenario", "holder", "field", "piles_up", "adds"),
    [
        ("registry", "Holders.SessionStore", "sessions", "Holders.Session", "return sessions.GetOrAdd"),
        ("behind", "Holders.Journal", "history", "System.String", 'history.Add("entry'),
    ],
)
def test_the_innermost_collection_is_the_holder(
    runtime: str, scenario: str, holder: str, field: str, piles_up: str, adds: str, dump_factory: DumpFactory
) -> None:
    result = analyzed(scenario, runtime, dump_factory)
    first = result.findings[0]
    assert (result.verdict, first.holder.type, first.holder.field, first.type) == ("leak", holder, field, piles_up)
    assert (first.root.declaring_type, first.root.field) == ("Holders.Registry", "services")
    assert first.object_count >= COUNT
    assert [site.line for site in first.code if site.role == "adds"] == [line_with(adds)]


def test_a_collection_inside_a_collection_is_told_by_the_outer_ones_field(dump_factory: DumpFactory) -> None:
    first = analyzed("nested", "8.0.4", dump_factory).findings[0]
    assert (first.severity, first.holder.type, first.holder.field, first.type) == ("leak", "Holders.Tenants", "byName", "Holders.Session")
    assert (first.root.declaring_type, first.root.field, first.object_count) == ("Holders.Tenants", "byName", COUNT)


def test_what_a_constructor_filled_is_no_leak(dump_factory: DumpFactory) -> None:
    result = analyzed("reference-data", "8.0.4", dump_factory)
    first = result.findings[0]
    assert (result.verdict, first.severity, first.holder.type, first.holder.field) == ("no-leak", "note", "Holders.Catalog", "names")


def test_a_collection_that_other_code_gets_may_grow(dump_factory: DumpFactory) -> None:
    """The field itself is assigned once and nothing adds to it by its name, but a method that fills it gets it as an argument."""
    first = analyzed("handed-on", "8.0.4", dump_factory).findings[0]
    assert (first.severity, first.holder.type, first.holder.field) == ("leak", "Holders.Ledger", "lines")


def test_a_queue_says_what_takes_from_it(dump_factory: DumpFactory) -> None:
    first = analyzed("emptied", "8.0.4", dump_factory).findings[0]
    assert (first.holder.type, first.holder.field) == ("Holders.Outbox", "pending")
    assert any("Holders.Outbox.Next() removes from it" in words for words in first.evidence)
    assert "keeps up" in first.advice


def test_what_two_collections_hold_together_is_one_finding_whatever_its_types(dump_factory: DumpFactory) -> None:
    result = analyzed("two-indexes", "8.0.4", dump_factory)
    (first,) = (finding for finding in result.findings if finding.holder is not None and finding.holder.type == "Holders.Depot")
    assert (result.verdict, first.severity, first.holder.field, first.type) == ("leak", "leak", "arrived, numbered", "Holders.Parcel")
    assert first.object_count == COUNT // 2
    assert first.retained_bytes == COUNT // 2 * (24 + 424) + COUNT // 2 * (24 + 224)  # an object of one field, what it alone holds
    assert f"with them {COUNT // 2:,} Holders.Letter" in first.evidence
    assert {site.line for site in first.code} == {line_with("arrived.Add"), line_with("numbered.Add")}
