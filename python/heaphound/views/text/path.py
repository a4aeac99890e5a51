"""Paths from roots to an object, as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.path import PathResult, PathRow
from heaphound.views.describe import abridged, coverage_blocks, root_words, step_words
from heaphound.views.page import Block, Fact, Line
from heaphound.views.quantities import count, exact


def page(answer: Answer[PathResult]) -> Iterator[Block]:
    """The target, then each path from its root downwards."""
    result = answer.result
    yield Line(f"{result.target} {result.type}", "strong")
    if result.retained_bytes is not None:
        yield Fact("Retained", exact(result.retained_bytes))
    for path in result.paths:
        yield Line("")
        yield from _path(path)
    if not result.paths:
        known = (
            "nothing keeps it alive: no root reaches it"
            if result.complete
            else "no path found; the roots of this dump are incomplete, so this proves nothing"
        )
        yield Fact("Alive", known, "plain" if result.complete else "warn")
    if result.left_out:
        yield Line("")
        yield Fact("", f"{count(result.left_out, 'further root')} reach it: --all shows them", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _path(path: PathRow) -> Iterator[Block]:
    yield Line(root_words(path.root), "strong")
    beginning, omitted, end = abridged(path.path)
    for step in beginning:
        yield Line(f"  -> {step.address} {step_words(step)}")
    if omitted:
        yield Line(f"  ... {count(omitted, 'more object')}: --json lists them all", "dim")
    for step in end:
        yield Line(f"  -> {step.address} {step_words(step)}")
