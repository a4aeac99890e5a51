"""Roots as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.roots import RootRow, RootsResult
from heaphound.views.describe import coverage_blocks, left_out, root_words
from heaphound.views.page import Block, Line, Table, names, numbers


def page(answer: Answer[RootsResult]) -> Iterator[Block]:
    """One row a root, then how many there are of each kind."""
    rows = [(row.address or row.register, row.object, row.type, _flags(row), root_words(row)) for row in answer.result.roots]
    yield Table(names("Slot", "Object", "Type", "Flags", "Root"), rows)
    yield from left_out(answer.result.left_out, "root")
    yield Line("")
    kinds = [(row.kind, row.count, row.exact, row.objects) for row in answer.result.kinds]
    yield Table((*names("Kind"), *numbers("Roots", "Exact", "Objects")), kinds)
    yield from coverage_blocks(answer.dump, answer.coverage)


def _flags(row: RootRow) -> str | None:
    flags = [word for word, holds in (("interior", row.interior), ("pinned", row.pinned)) if holds]
    return ", ".join(flags) or None
