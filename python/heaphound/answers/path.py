"""`path`: why an object is alive: shortest paths from roots, with the fields that lead on."""

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.answers.object import object_index
from heaphound.answers.root_rows import RootRows
from heaphound.results.analyze import PathStep
from heaphound.results.answer import Answer
from heaphound.results.path import PathResult, PathRow
from heaphound.session import Session

EVERY_PATH = 10_000
FURTHER_ROOTS = 10


def path(session: Session, address: int, limit: int | None = 10) -> Answer[PathResult]:
    """Paths to the object at `address` (or the one that contains it); None for `limit` means all, up to 10,000."""
    naming, table = Naming(session), session.table
    roots = RootRows(session, naming)
    target = object_index(session, address)
    found = session.graph.paths_to(target, EVERY_PATH if limit is None else limit)
    rows = []
    direct = {indices[0] for indices in found.paths}
    for indices in found.paths:
        if len(indices) > 1 and session.static_holders.is_holder(indices[0]) and indices[1] in direct:
            continue  # the static itself is the better name for this path
        held = session.roots.rows_of(int(table.address_of(indices[0]))).tolist()
        if held:
            best, *further = [session.roots.root(row) for row in held[: None if limit is None else 1 + FURTHER_ROOTS]]
            others = tuple(roots.row(root) for root in further)
            rows.append(PathRow(roots.row(best), steps(session, naming, indices), others, len(held) - 1))
    result = PathResult(
        target=Address(table.address_of(target)),
        type=naming.type_of_index(target),
        paths=tuple(rows),
        complete=found.complete,
        left_out=0,
        retained_bytes=session.graph.retained_bytes(target, reached=bool(found.paths)),
    )
    return Answer(dump_facts(session), heap_coverage(session, roots=True), result)


def steps(session: Session, naming: Naming, indices: tuple[int, ...]) -> tuple[PathStep, ...]:
    """Objects of a path with the name of the field or index that leads from each to the next."""
    addresses = [int(session.table.address_of(index)) for index in indices]
    found = []
    for position, address in enumerate(addresses):
        last = position + 1 == len(addresses)
        via = None if last else session.edge(address, addresses[position + 1])
        found.append(PathStep(Address(address), naming.type_of_index(indices[position]), via))
    return tuple(found)
