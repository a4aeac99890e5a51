"""The report is one page that needs nothing, and nothing in a dump can become part of its code."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from heaphound.results.analyze import AnalyzeResult
from heaphound.results.answer import Answer
from heaphound.views.to_html import html_page
from tests.unit import answers

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Elements(HTMLParser):
    """Collects tags and attributes, and checks that tags are balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= set(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def several_findings() -> Answer[AnalyzeResult]:
    """A page with an index, and a path too long to be drawn whole."""
    long = replace(answers.LEAK, path=answers.PATH * 1000)
    return replace(answers.ANALYZE, result=replace(answers.ANALYZE.result, findings=(answers.LEAK, answers.HOSTILE_FINDING, long)))


@pytest.fixture(params=["leak", "healthy", "hostile", "several"])
def answer(request: pytest.FixtureRequest) -> Answer[AnalyzeResult]:
    return {
        "leak": answers.ANALYZE,
        "healthy": answers.ANALYZE_HEALTHY,
        "hostile": answers.ANALYZE_HOSTILE,
        "several": several_findings(),
    }[request.param]


def test_the_page_is_well_formed_and_runs_nothing(answer: Answer[AnalyzeResult]) -> None:
    page = html_page(answer)
    elements = Elements()
    elements.feed(page)
    assert elements.open == []
    assert not elements.tags & {"script", "img", "link", "iframe", "object", "form", "b", "svg"}
    assert not [name for name, _ in elements.attributes if name.startswith("on") or name == "src"]
    assert all((value or "").startswith("#finding-") for name, value in elements.attributes if name == "href")


def test_the_page_loads_nothing(answer: Answer[AnalyzeResult]) -> None:
    page = html_page(answer)
    assert "default-src 'none'" in page
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_hostile_text_is_shown_as_text() -> None:
    page = html_page(answers.ANALYZE_HOSTILE)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\x1b[31m\\u202egpj.exe&amp;amp;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "{{ 7 * 7 }}" in page
    assert page.count("</style>") == 1


def test_the_page_tells_what_a_reader_needs() -> None:
    page = html_page(answers.ANALYZE)
    finding = answers.LEAK
    for text in ("A leak was found", "2.51 GB", "26,165,808", "RedisHub.cs:37", "static Shop.Caching.RedisHub._hub", finding.fingerprint):
        assert text in page
    for sentence in (finding.advice, *finding.evidence, *finding.caveats):
        assert sentence in page
    for step in finding.path:
        assert str(step.address) in page


def test_the_note_at_the_top_is_true() -> None:
    assert "holds no contents of strings" in html_page(answers.ANALYZE)
    assert "can be secrets" in html_page(answers.ANALYZE, string_contents=True)
    assert "holds no contents of strings" not in html_page(answers.ANALYZE, string_contents=True)


def test_limits_are_part_of_the_page() -> None:
    page = html_page(answers.ANALYZE_HOSTILE)
    assert "the file ends before these bytes" in page
    assert "System.Threading.TimerQueue is not loaded" in page
    assert "No gap, every kind of root, every rule." in html_page(answers.ANALYZE)


def test_the_same_answer_makes_the_same_page(answer: Answer[AnalyzeResult]) -> None:
    assert html_page(answer) == html_page(answer)


def test_several_findings_have_an_index() -> None:
    page = html_page(several_findings())
    assert page.count('href="#finding-') == 3
    assert page.count('id="finding-') == 3


def test_a_path_of_thousands_is_drawn_by_its_ends() -> None:
    page = html_page(several_findings())
    assert "3,960 more objects" in page
    assert len(page) < 200_000
