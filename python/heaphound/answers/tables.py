"""Bulk data as Arrow tables: whole columns of the heap, for pandas, Polars and DuckDB without a copy.

Arrow is imported when a table is asked for: it takes a quarter of a second that no verb needs to wait for.
"""

from typing import TYPE_CHECKING

import numpy as np

from heaphound.answers.naming import Naming
from heaphound.graph.object_graph import UNREACHABLE, VIRTUAL_ROOT
from heaphound.session import Session

if TYPE_CHECKING:
    import pyarrow

BLOCK = 1 << 22


def types_table(session: Session) -> "pyarrow.Table":
    """One row a type on the heap: `type_index`, `method_table`, `name`, `count`, `size_bytes` (aligned). O(types)."""
    import pyarrow

    table, naming = session.table, Naming(session)
    names = [naming.type_name(int(method_table)) for method_table in table.method_tables]
    return pyarrow.table(
        {
            "type_index": np.arange(len(names), dtype=np.uint32),
            "method_table": table.method_tables,
            "name": pyarrow.array(names, pyarrow.string()),
            "count": table.type_counts,
            "size_bytes": table.type_bytes,
        }
    )


def objects_table(session: Session, retained: bool = False) -> "pyarrow.Table":
    """One row an object, free blocks included, in address order: `address`, `type_index`, `size_bytes` (aligned).

    With `retained` also `retained_bytes` (0 where no root reaches it) and `dominator` (row of the immediate dominator; null under a root
    or where no root reaches it): that needs the whole graph. Costs 20 bytes an object, with `retained` 36.
    """
    import pyarrow

    table = session.table
    columns: dict[str, object] = {
        "address": table.addresses(),
        "type_index": table.type_indices(),
        "size_bytes": np.concatenate(
            [np.empty(0, np.uint64), *(table.sizes(at, min(at + BLOCK, len(table))) for at in range(0, len(table), BLOCK))]
        ),
    }
    if retained:
        immediate = session.graph.dominators.immediate
        columns["retained_bytes"] = session.graph.dominators.retained_bytes
        columns["dominator"] = pyarrow.array(immediate, mask=(immediate == UNREACHABLE) | (immediate == VIRTUAL_ROOT))
    return pyarrow.table(columns)


def references_table(session: Session, first: int = 0, stop: int | None = None) -> "pyarrow.Table":
    """One row a reference of the objects [first, stop): `source` and `target` are rows of `objects_table`.

    Asks the kernel object by object: for slices, not for a heap of millions (500,000 objects take about a second).
    """
    import pyarrow

    end = len(session.table) if stop is None else min(stop, len(session.table))
    targets = [session.graph.references(index) for index in range(first, end)]
    counts = np.array([len(found) for found in targets], dtype=np.int64)
    return pyarrow.table(
        {
            "source": np.repeat(np.arange(first, end, dtype=np.uint32), counts),
            "target": np.concatenate([np.empty(0, np.uint32), *targets]),
        }
    )
