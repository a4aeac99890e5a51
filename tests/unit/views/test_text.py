"""Details of the text views that a golden file would not explain."""

from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from heaphound.address import Address
from heaphound.results.answer import Answer, Coverage, Gap
from heaphound.results.memory import MemoryPart, MemoryResult
from heaphound.results.objects import ObjectRow, ObjectsResult
from heaphound.results.types import TypesResult, TypesTotal
from heaphound.views import to_text
from heaphound.views.page import Size, Table, names, numbers
from heaphound.views.plain import write_plain
from heaphound.views.terminal import write_terminal
from heaphound.views.text.analyze import memory_words
from heaphound.views.to_text import write_text
from tests.unit import answers
from tests.unit.fake import REPLIES


def text_of(answer: Answer[Any]) -> str:
    stream = StringIO()
    write_text(answer, stream)
    return stream.getvalue()


def test_every_result_has_a_page() -> None:
    assert {type(answer.result).__module__.rpartition(".")[2] for answer in REPLIES.values()} == set(to_text.VERBS)
    assert all(text_of(answer) for answer in REPLIES.values())


def test_a_complete_answer_says_nothing_of_limits_and_a_partial_one_does() -> None:
    assert "Limits" not in text_of(answers.MODULES)
    partial = replace(answers.MODULES, coverage=answers.PARTIAL)
    assert text_of(partial).count("Limits") == 4


def test_many_gaps_are_counted_rather_than_listed() -> None:
    gaps = tuple(Gap(Address(number * 16), Address(number * 16 + 8), "unreadable") for number in range(25))
    shown = text_of(replace(answers.MODULES, coverage=Coverage(gaps=gaps)))
    assert shown.count("gap 0x") == 10
    assert "15 further gaps" in shown


def test_notes_are_no_limits_and_many_are_counted() -> None:
    shown = text_of(replace(answers.MODULES, coverage=Coverage(notes=tuple(f"file {number} stands in" for number in range(30)))))
    assert "Limits" not in shown
    assert shown.count("stands in") == 10
    assert "20 further notes" in shown


def test_an_unknown_retained_size_is_no_zero() -> None:
    rows = (ObjectRow(Address(0x10), "T", Address(0x20), 24, None, 24), ObjectRow(Address(0x30), "T", Address(0x20), 24))
    shown = text_of(Answer(answers.DUMP, answers.COMPLETE, ObjectsResult(rows, 2, 48)))
    assert shown.splitlines()[2].split() == ["0x30", "0x20", "24", "-", "-", "T"]


def test_parts_of_memory_with_the_same_short_name_are_one() -> None:
    parts = (
        MemoryPart("a", "malloc: arenas", 2_000, exact=False),
        MemoryPart("b", "malloc: brk", 3_000),
        MemoryPart("c", "code, all", 9_000),
    )
    assert memory_words(MemoryResult(14_000, parts)) == "14.0 kB in the dump: code 9.00 kB, malloc about 5.00 kB"


def test_an_empty_table_still_has_its_headings() -> None:
    shown = text_of(Answer(answers.DUMP, answers.COMPLETE, TypesResult((), TypesTotal(0, 0))))
    assert shown.splitlines() == ["Method table  Count  Size  Type", "Total    0 objects, 0 bytes"]


@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_a_narrow_terminal_cuts_no_address_and_no_number(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    stream = StringIO()
    rows = [(Address(0x7EFB42450758), Size(2_510_000_000), 39_789_084, "System.Collections.Generic.Dictionary<System.String, Shop.Order>")]
    write_terminal([Table((*names("Address"), *numbers("Size", "Count"), *names("Type")), rows)], stream)
    for cell in ("0x7efb42450758", "2.51 GB", "39,789,084"):
        assert cell in stream.getvalue()
    assert "Shop.Order>" in stream.getvalue().replace("\n", "").replace(" ", "")


def test_a_pipe_shows_the_same_at_any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    narrow = text_of(answers.ANALYZE)
    monkeypatch.setenv("COLUMNS", "300")
    assert text_of(answers.ANALYZE) == narrow


def test_a_path_of_thousands_is_shown_by_its_ends() -> None:
    (row, *_) = answers.PATH_ANSWER.result.paths
    long = replace(answers.PATH_ANSWER.result, paths=(replace(row, path=answers.PATH * 1000),))
    shown = text_of(replace(answers.PATH_ANSWER, result=long))
    assert shown.count("  -> ") == 40
    assert "3,960 more objects" in shown


def test_numbers_in_a_pipe_have_no_separators() -> None:
    stream = StringIO()
    write_plain([Table(numbers("Bytes", "Count"), [(Size(2_510_000_000), 39_789_084)])], stream)
    assert stream.getvalue().splitlines()[1] == "2510000000  39789084"
