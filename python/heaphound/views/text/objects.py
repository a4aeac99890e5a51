"""Addresses of objects as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.objects import ObjectsResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Cell, Fact, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(answer: Answer[ObjectsResult]) -> Iterator[Block]:
    """One row an object, then the sum over all that match."""
    result = answer.result
    retained = any(row.retained_bytes is not None for row in result.objects)
    sizes = numbers("Size", "Retained") if retained else numbers("Size")
    rows = []
    for row in result.objects:
        cells: list[Cell] = [Size(row.size_bytes)]
        if retained:
            cells.append(None if row.retained_bytes is None else Size(row.retained_bytes))
        rows.append([row.address, row.method_table, *cells, row.generation, row.type])
    yield Table((*names("Address", "Method table"), *sizes, *names("Generation", "Type")), rows)
    yield from left_out(result.left_out, "object")
    yield Fact("Total", f"{count(result.count, 'object')}, {exact(result.size_bytes)}", "strong")
    yield from coverage_blocks(answer.dump, answer.coverage)
