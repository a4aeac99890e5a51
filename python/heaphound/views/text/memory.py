"""Where the memory went, as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.memory import MemoryResult
from heaphound.views.describe import coverage_blocks, headline
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import exact, share


def page(answer: Answer[MemoryResult]) -> Iterator[Block]:
    """The total, the parts largest first, and the single ranges where they were asked for."""
    result = answer.result
    yield Line(headline(answer.dump), "strong")
    if result.resident_bytes is not None:
        yield Fact("Resident", exact(result.resident_bytes))
    yield Fact("In dump", exact(result.total_bytes))
    yield Line("")
    parts = sorted(result.parts, key=lambda part: -part.size_bytes)
    rows = [
        (Size(part.size_bytes), share(part.size_bytes, result.total_bytes), part.kind, _name(part.name, part.exact), part.note or None)
        for part in parts
    ]
    yield Table((*numbers("Size", "Share"), *names("Kind", "What", "Note")), rows)
    if result.ranges:
        yield Line("")
        ranges = [(row.start, row.end, Size(row.end - row.start), row.permissions or None, row.kind, row.name) for row in result.ranges]
        yield Table((*names("Start", "End"), *numbers("Size"), *names("Access", "Kind", "What")), ranges)
    yield from coverage_blocks(answer.dump, answer.coverage)


def _name(name: str, is_exact: bool) -> str:
    return name if is_exact else f"{name} (estimated)"
