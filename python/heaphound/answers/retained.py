"""`retained`: the dominator tree, from the top or around one object."""

import numpy as np

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.answers.object import object_index
from heaphound.diagnose.holding import best_root, root_words
from heaphound.results.answer import Answer
from heaphound.results.retained import GroupRow, OwnerRow, RetainedResult
from heaphound.session import Session

MAXIMUM_CHAIN = 100
MAXIMUM_GROUPS = 30
ALL = 1 << 32


def retained(session: Session, address: int | None = None, limit: int | None = 20) -> Answer[RetainedResult]:
    """The biggest owners, or one object: who alone keeps it alive, and what it alone keeps alive."""
    graph, naming = session.graph, Naming(session)
    index = None if address is None else object_index(session, address)
    dominators = graph.dominators
    owned = graph.owned(index, ALL if limit is None else limit)
    result = RetainedResult(
        total_bytes=dominators.reachable_bytes,
        owners=tuple(_owner(session, naming, child, index is None) for child in owned),
        object=None if index is None else _owner(session, naming, index, True),
        chain=() if index is None else tuple(_owner(session, naming, above, True) for above in graph.chain(index, MAXIMUM_CHAIN)),
        groups=() if index is None else _groups(session, naming, index),
        left_out=graph.owned_count(index) - len(owned),
        unreachable_bytes=_walked_bytes(session) - dominators.reachable_bytes,
    )
    return Answer(dump_facts(session), heap_coverage(session, roots=True), result)


def _walked_bytes(session: Session) -> int:
    """Bytes of all objects, free blocks left out."""
    table = session.table
    free = 0 if table.free_type_index is None else int(table.type_bytes[table.free_type_index])
    return int(table.type_bytes.sum()) - free


def _owner(session: Session, naming: Naming, index: int, with_root: bool) -> OwnerRow:
    address = int(session.table.address_of(index))
    root = best_root(session.roots, address) if with_root else None
    return OwnerRow(
        address=Address(address),
        type=naming.type_of_index(index),
        size_bytes=int(session.table.size_of(index)),
        retained_bytes=session.graph.retained_bytes(index),
        retained_objects=session.graph.retained_count(index),
        held_by=None if root is None else root_words(root),
    )


def _groups(session: Session, naming: Naming, index: int) -> tuple[GroupRow, ...]:
    """All objects that this one alone keeps alive, by type."""
    counts, sizes = session.graph.dominators.retained_by_type(index)
    tables = session.table.method_tables
    rows = [
        GroupRow(naming.type_name(int(tables[of_type])), int(counts[of_type]), int(sizes[of_type]))
        for of_type in np.flatnonzero(counts).tolist()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.retained_bytes, row.type))[:MAXIMUM_GROUPS])
