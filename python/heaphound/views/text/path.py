"""Paths from roots to an object, as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.path import PathResult, PathRow
from heaphound.views.describe import abridged, coverage_blocks, root_words, step_words
from heaphound.views.page import Block, Fact, Line
from heaphound.views.quantities import count, exact

FURTHER_SHOWN = 3


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
    yield from _further(path)
    beginning, omitted, end = abridged(path.path)
    for step in beginning:
        yield Line(f"  -> {step.address} {step_words(step)}")
    if omitted:
        yield Line(f"  ... {count(omitted, 'more object')}: --json lists them all", "dim")
    for step in end:
        yield Line(f"  -> {step.address} {step_words(step)}")


def _further(path: PathRow) -> Iterator[Block]:
    """Other roots of the first object; a few, of different frames."""
    shown: dict[object, str] = {}
    for root in path.further_roots:
        place = (root.kind, root.os_id, None if root.frame is None else root.frame.sp, root.address if root.frame is None else None)
        shown.setdefault(place, root_words(root))
    for words in list(shown.values())[:FURTHER_SHOWN]:
        yield Line(f"  also {words}", "dim")
    left = path.further_root_count - min(len(shown), FURTHER_SHOWN)
    if left:
        yield Line(f"  also {count(left, 'further root')}: --json lists them", "dim")
