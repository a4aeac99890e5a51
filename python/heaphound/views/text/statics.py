"""Static fields as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.statics import StaticsResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Size, Table, names, numbers


def page(answer: Answer[StaticsResult]) -> Iterator[Block]:
    """One row a field; the thread column only where there are thread statics."""
    result = answer.result
    threads = any(row.thread is not None for row in result.statics)
    rows = []
    for row in result.statics:
        retained = None if row.retained_bytes is None else Size(row.retained_bytes)
        thread = [row.thread] if threads else []
        rows.append([retained, row.object or "null", row.slot, *thread, f"{row.declaring_type}.{row.field}", row.type])
    columns = (*numbers("Retained"), *names("Object", "Slot"), *(numbers("Thread") if threads else ()), *names("Field", "Type"))
    yield Table(columns, rows)
    yield from left_out(result.left_out, "field")
    yield from coverage_blocks(answer.dump, answer.coverage)
