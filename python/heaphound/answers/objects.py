"""`objects`: addresses of objects, filtered and sorted."""

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.answers.types import BLOCK, EVERYTHING, Filter, chosen_mask
from heaphound.errors import UsageError
from heaphound.results.answer import Answer
from heaphound.results.objects import ObjectRow, ObjectsResult
from heaphound.session import Session

SORTS = ("address", "size", "retained")


def objects(
    session: Session,
    type_name: str | None = None,
    method_table: int | None = None,
    chosen: Filter = EVERYTHING,
    sort: str = "address",
    limit: int | None = None,
) -> Answer[ObjectsResult]:
    """Objects of the type of exactly this name, or of one method table, or all. UsageError for a type that the heap does not have."""
    if sort not in SORTS:
        raise UsageError(f"objects cannot be sorted by {sort}: choose {', '.join(SORTS)}")
    table, naming = session.table, Naming(session)
    indices = _selected(session, naming, type_name, method_table)
    indices = indices[_mask(session, chosen, indices)]
    sizes = table.sizes_of(indices)
    count, size_bytes = len(indices), int(sizes.sum())
    retained = session.graph.dominators.retained_of_many(indices) if sort == "retained" else None
    if sort != "address":
        order = np.argsort(-(sizes if retained is None else retained).astype(np.int64), kind="stable")
        indices = indices[order]
        retained = None if retained is None else retained[order]
    shown = indices if limit is None else indices[:limit]
    rows = [
        ObjectRow(
            address=Address(address),
            type=naming.type_name(int(table.method_tables[of_type])),
            method_table=Address(int(table.method_tables[of_type])),
            size_bytes=size,
            generation=session.gc_heap.generation_of(address),
            retained_bytes=None if retained is None else int(retained[position]),
        )
        for position, (address, of_type, size) in enumerate(
            zip(table.addresses_of(shown).tolist(), table.types_of(shown).tolist(), table.sizes_of(shown).tolist(), strict=True)
        )
    ]
    roots = retained is not None or chosen.live or chosen.dead
    coverage = heap_coverage(session, roots=roots, only_types=not roots)
    return Answer(dump_facts(session), coverage, ObjectsResult(tuple(rows), count, size_bytes, count - len(rows)))


def _selected(session: Session, naming: Naming, type_name: str | None, method_table: int | None) -> NDArray[np.uint32]:
    table = session.table
    if type_name is None and method_table is None:
        return np.arange(table.object_count, dtype=np.uint32)
    tables = table.method_tables.tolist()
    wanted = [
        index
        for index, found in enumerate(tables)
        if (method_table is None or found == method_table) and (type_name is None or naming.type_name(found) == type_name)
    ]
    if not wanted:
        what = f"of the type {type_name}" if type_name is not None else f"with the method table {method_table:#x}"
        raise UsageError(f"the heap has no objects {what}: `types` lists those it has")
    return np.sort(np.concatenate([table.instances(index) for index in wanted]))


def _mask(session: Session, chosen: Filter, indices: NDArray[np.uint32]) -> NDArray[np.bool_]:
    if chosen.everything:
        return np.ones(len(indices), dtype=np.bool_)
    mask = np.zeros(len(indices), dtype=np.bool_)
    for start in range(0, session.table.object_count, BLOCK):
        stop = min(start + BLOCK, session.table.object_count)
        first, last = np.searchsorted(indices, [start, stop])
        if first < last:
            mask[first:last] = chosen_mask(session, chosen, start, stop)[indices[first:last] - start]
    return mask
