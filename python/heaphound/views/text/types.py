"""Objects by type as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.types import TypesResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Cell, Fact, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(answer: Answer[TypesResult]) -> Iterator[Block]:
    """The rows in the order asked for, then the total over all."""
    result = answer.result
    retained = any(row.retained_bytes is not None for row in result.types)
    by_type = result.by == "type"
    sizes = numbers("Count", "Size", "Retained") if retained else numbers("Count", "Size")
    rows = []
    for row in result.types:
        cells: list[Cell] = [row.count, Size(row.size_bytes)]
        if retained:
            cells.append(None if row.retained_bytes is None else Size(row.retained_bytes))
        rows.append([*([row.method_table] if by_type else []), *cells, row.name])
    yield Table((*(names("Method table") if by_type else ()), *sizes, *names(result.by.capitalize())), rows)
    yield from left_out(result.left_out, "row")
    yield Fact("Total", f"{count(result.total.count, 'object')}, {exact(result.total.size_bytes)}", "strong")
    yield from coverage_blocks(answer.dump, answer.coverage)
