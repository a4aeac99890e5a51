"""`roots`: everything that keeps objects alive from outside the heap."""

import numpy as np
from numpy.typing import NDArray

from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.answers.root_rows import RootRows
from heaphound.diagnose.holding import thread_of
from heaphound.errors import UsageError
from heaphound.results.answer import Answer
from heaphound.results.roots import RootKindRow, RootsResult
from heaphound.runtime.roots import KINDS
from heaphound.session import Session


def roots(session: Session, kind: str | None = None, thread: int | None = None, limit: int | None = None) -> Answer[RootsResult]:
    """Roots of all kinds or of one, of all threads or of one by its managed id; at most `limit` rows. Counts are of all asked for.

    Raises UsageError for a kind that does not exist and a thread that the process does not have.
    """
    table, naming = session.roots, Naming(session)
    rows = np.arange(len(table))
    if kind is not None:
        if kind not in KINDS:
            raise UsageError(f"there are no roots of the kind {kind}: choose {', '.join(KINDS)}")
        rows = rows[table.kinds == KINDS.index(kind)]
    if thread is not None:
        if thread not in {one.managed_id for one in session.threads}:
            raise UsageError(f"the process has no managed thread {thread}: `heaphound threads` lists them")
        rows = np.array([row for row in rows.tolist() if thread_of(session.threads, table.root(row)) == thread], dtype=np.int64)
    found = RootRows(session, naming)
    shown = rows if limit is None else rows[:limit]
    result = RootsResult(
        roots=tuple(found.row(table.root(row)) for row in shown.tolist()),
        left_out=len(rows) - len(shown),
        kinds=tuple(_kinds(session, rows)),
    )
    return Answer(dump_facts(session), heap_coverage(session, roots=True), result)


def _kinds(session: Session, rows: NDArray[np.int64]) -> list[RootKindRow]:
    table = session.roots
    found = []
    for number, name in enumerate(KINDS):
        of_kind = rows[table.kinds[rows] == number]
        if len(of_kind):
            exact = int(np.count_nonzero(table.exact()[of_kind]))
            found.append(RootKindRow(name, len(of_kind), exact, len(np.unique(table.objects[of_kind]))))
    return found
