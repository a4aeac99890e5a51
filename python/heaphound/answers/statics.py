"""`statics`: every static and thread static with its true declaring type."""

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.errors import UsageError
from heaphound.results.answer import Answer
from heaphound.results.statics import StaticRow, StaticsResult
from heaphound.runtime.statics import Static
from heaphound.session import Session

SORTS = ("retained", "type", "slot")


def statics(session: Session, type_name: str | None = None, sort: str = "retained", limit: int | None = None) -> Answer[StaticsResult]:
    """Statics of all types or of one (its name or a part of it), ordered by retained bytes, declaring type or slot."""
    if sort not in SORTS:
        raise UsageError(f"statics cannot be sorted by {sort}: choose {', '.join(SORTS)}")
    found = [static for static in session.statics if type_name is None or type_name in static.declaring_type]
    rows = [_row(session, static) for static in found]
    if sort == "retained":
        rows.sort(key=lambda row: (-(row.retained_bytes or 0), row.declaring_type, row.field, row.thread or 0))
    elif sort == "type":
        rows.sort(key=lambda row: (row.declaring_type, row.field, row.thread or 0))
    else:
        rows.sort(key=lambda row: row.slot)
    left_out = 0 if limit is None else max(0, len(rows) - limit)
    return Answer(dump_facts(session), heap_coverage(session, roots=True), StaticsResult(tuple(rows[:limit]), left_out))


def _row(session: Session, static: Static) -> StaticRow:
    index = None if not static.object else session.table.index_of(static.object)
    return StaticRow(
        declaring_type=static.declaring_type,
        field=static.field,
        slot=Address(static.slot),
        object=Address(static.object) if static.object else None,
        type=static.object_type if static.object else None,
        thread=static.thread,
        retained_bytes=None if index is None else session.graph.retained_bytes(index),
    )
