"""Roots as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.roots import RootsResult
from heaphound.views.describe import coverage_blocks, left_out, root_words
from heaphound.views.page import Block, Table, names


def page(answer: Answer[RootsResult]) -> Iterator[Block]:
    """One row a root."""
    rows = [(row.kind, row.address, row.object, row.type, root_words(row)) for row in answer.result.roots]
    yield Table(names("Kind", "Slot", "Object", "Type", "Root"), rows)
    yield from left_out(answer.result.left_out, "root")
    yield from coverage_blocks(answer.dump, answer.coverage)
