"""The diagnosis as one self-contained page: no script, no external resource, everything from the dump escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from heaphound.results.analyze import AnalyzeResult, Finding
from heaphound.results.answer import Answer
from heaphound.views.describe import abridged, headline, holder_words, limit_sentences, root_words
from heaphound.views.names import split_namespace
from heaphound.views.printable import printable
from heaphound.views.quantities import count, share, size

TEMPLATES = Path(__file__).parent / "html"
ROOT_NAMES = {
    "static-field": "static field",
    "thread-static": "thread static",
    "strong-handle": "strong handle",
    "pinned-handle": "pinned handle",
    "dependent-handle": "dependent handle",
    "finalizer-queue": "finalizer queue",
    "threadpool": "thread pool",
    "load-context": "load context",
    "none": "no root",
}
VERDICTS = {
    "leak": "A leak was found",
    "no-leak": "No leak was found",
    "unclear": "Unclear",
}


def html_page(answer: Answer[AnalyzeResult], string_contents: bool = False) -> str:
    """The whole page. `string_contents` says, for the note at its top, whether contents of strings were asked for."""
    result = answer.result
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            dump=answer.dump,
            coverage=answer.coverage,
            limits=[*limit_sentences(answer.coverage), *answer.coverage.notes],
            skipped=[rule for rule in result.skipped_rules if rule not in answer.coverage.skipped_rules],
            result=result,
            headline=headline(answer.dump),
            verdict=VERDICTS[result.verdict],
            summary=_summary(result),
            parts=sorted((part for part in result.memory.parts if part.size_bytes > 0), key=lambda part: -part.size_bytes),
            largest_type_bytes=max((row.size_bytes for row in result.top_types), default=0),
            string_contents=string_contents,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size, count=count, namespace=split_namespace, root_words=root_words, root_name=_root_name)
    environment.globals.update(abridged=abridged, share=share, percent=_percent, holder=_holder)
    return environment


def _shown(value: Any) -> Any:
    # Exactly str: Markup, a subclass, is the template's own.
    return printable(value) if type(value) is str else value


def _summary(result: AnalyzeResult) -> str:
    if result.findings:
        first = result.findings[0]
        held = f"{count(first.object_count, 'object')} and what they hold: {size(first.retained_bytes)}"
        of_heap = f", {share(first.retained_bytes, result.heap.size_bytes)} of the heap" if result.heap.size_bytes else ""
        keeper = "No known root" if first.root.kind == "none" else f"The {root_words(first.root)}"
        return f"{keeper} keeps alive {held}{of_heap}. {first.advice}"
    if result.verdict == "no-leak":
        return "Nothing piles up in a way that a rule knows. What the memory is used for stands below."
    return "No rule recognised a leak, but not everything could be examined: see the limits at the end of this page."


def _percent(part: int, whole: int) -> float:
    """Width of a bar: 0 to 100, visible for anything above zero."""
    if whole <= 0 or part <= 0:
        return 0.0
    return round(max(0.4, min(100.0, 100 * part / whole)), 2)


def _root_name(kind: str) -> str:
    return ROOT_NAMES.get(kind, kind)


def _holder(finding: Finding) -> str:
    return holder_words(finding.holder.type, finding.holder.field, finding.holder.address)
