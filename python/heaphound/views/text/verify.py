"""Whether the heap makes sense, as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.verify import VerifyResult
from heaphound.views.describe import coverage_blocks, headline
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(answer: Answer[VerifyResult]) -> Iterator[Block]:
    """Sums and checksums, then every problem with its address."""
    result = answer.result
    yield Line(headline(answer.dump), "strong")
    yield Fact("Objects", f"{count(result.objects)}, {exact(result.size_bytes)}")
    yield Fact("Free", f"{count(result.free_objects, 'block')}, {exact(result.free_bytes)}")
    yield Fact("Walk", f"checksum {result.walk_checksum}")
    if result.references is not None:
        yield Fact("Edges", f"{count(result.references, 'reference')}, checksum {result.reference_checksum}")
    if result.problems:
        yield Fact("Problems", count(len(result.problems)), "bad")
        rows = [(row.address, None if row.size_bytes is None else Size(row.size_bytes), row.kind, row.reason) for row in result.problems]
        yield Table((*names("Address"), *numbers("Size"), *names("Kind", "Reason")), rows)
    else:
        yield Fact("Problems", "none", "good")
    yield from coverage_blocks(answer.dump, answer.coverage)
