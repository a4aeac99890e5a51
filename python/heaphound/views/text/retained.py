"""The dominator tree as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.retained import OwnerRow, RetainedResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import exact, share


def page(answer: Answer[RetainedResult]) -> Iterator[Block]:
    """Biggest owners of the heap, or one object between its owners and what it owns."""
    result = answer.result
    if result.object is not None:
        yield Line(f"{result.object.address} {result.object.type}", "strong")
        yield Fact("Size", exact(result.object.size_bytes))
        yield Fact(
            "Retained",
            f"{exact(result.object.retained_bytes)}, {share(result.object.retained_bytes, result.total_bytes)} of what is reachable",
        )
        if result.chain:
            yield Line("")
            yield _owners("Kept alive by", result.chain, result.total_bytes)
        yield Line("")
    else:
        yield Fact("Alive", exact(result.total_bytes))
        if result.unreachable_bytes:
            yield Fact("Dead", f"{exact(result.unreachable_bytes)}: no known root reaches it")
        yield Line("")
    yield _owners("Owns" if result.object is not None else "Owner", result.owners, result.total_bytes)
    yield from left_out(result.left_out, "owner")
    if result.groups:
        yield Line("")
        groups = [(group.count, Size(group.retained_bytes), group.type) for group in result.groups]
        yield Table((*numbers("Count", "Retained"), *names("Owned, by type")), groups)
    yield from coverage_blocks(answer.dump, answer.coverage)


def _owners(title: str, owners: tuple[OwnerRow, ...], total_bytes: int) -> Table:
    rows = [
        (
            owner.address,
            Size(owner.retained_bytes),
            share(owner.retained_bytes, total_bytes),
            Size(owner.size_bytes),
            owner.type,
            owner.held_by,
        )
        for owner in owners
    ]
    return Table((*names(title), *numbers("Retained", "Share", "Own size"), *names("Type", "Held by")), rows)
