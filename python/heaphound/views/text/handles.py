"""The handle table as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.handles import HandlesResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Line, Size, Table, names, numbers


def page(answer: Answer[HandlesResult]) -> Iterator[Block]:
    """Handles or, where asked for, counts by kind and type; then counts by kind."""
    result = answer.result
    if result.statistics is not None:
        rows = [(row.count, Size(row.size_bytes), row.kind, row.type) for row in result.statistics]
        yield Table((*numbers("Count", "Size"), *names("Kind", "Type")), rows)
    else:
        handles = [(row.address, row.kind, row.object or "null", row.dependent, row.type) for row in result.handles]
        yield Table(names("Handle", "Kind", "Object", "Dependent", "Type"), handles)
        yield from left_out(result.left_out, "handle")
    if result.kinds:
        yield Line("")
        yield Table((*numbers("Count"), *names("Kind")), [(row.count, row.kind) for row in result.kinds])
    yield from coverage_blocks(answer.dump, answer.coverage)
