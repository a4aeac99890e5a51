"""`object`: one object from all sides."""

from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError, Malformed, Unreadable, UsageError
from heaphound.results.answer import Answer
from heaphound.results.object import LockFacts, ObjectResult, Reference, ReferrerRow
from heaphound.session import Session

ALL_ROWS = 1 << 31


def object_index(session: Session, address: int) -> int:
    """The object at an address, or the one that contains it. UsageError where there is none."""
    index = session.table.index_containing(address)
    if index is None:
        where = "inside the managed heap, but in no object" if session.gc_heap.segment_of(address) else "not in the managed heap"
        raise UsageError(f"{address:#x} is {where}: `objects` lists addresses, `heap` the segments")
    return index


def object(session: Session, address: int, strings: bool = False, limit: int | None = 100) -> Answer[ObjectResult]:
    """Header, fields with values, elements or items, delegate targets, referrers, what it keeps alive.

    Texts of strings are hidden unless `strings` asks for them.
    """
    index = object_index(session, address)
    start = int(session.table.address_of(index))
    rows = ALL_ROWS if limit is None else limit
    reader = session.objects if strings else session.objects_without_texts
    try:
        read = reader.read(start, limit=rows)
    except (Unreadable, Malformed) as error:
        raise UsageError(f"the object at {start:#x} cannot be shown: {error}") from error
    graph, segment = session.graph, session.gc_heap.segment_of(start)
    referrers = graph.referrers(index)
    above = graph.dominator_of(index)
    result = replace(
        read,
        generation=session.gc_heap.generation_of(start),
        segment=None if segment is None else Address(segment.address),
        retained_bytes=graph.retained_bytes(index),
        immediate_dominator=None if above is None else _reference(session, above),
        reachable=graph.is_reachable(index),
        referrers=tuple(_neighbour(session, int(found), index, incoming=True) for found in referrers[:rows]),
        referrer_count=len(referrers),
        references=tuple(_neighbour(session, index, target, incoming=False) for target in _targets(session, index, rows)),
        lock=_lock(session, read.lock),
    )
    return Answer(dump_facts(session), heap_coverage(session, roots=True), result)


def _targets(session: Session, index: int, limit: int) -> list[int]:
    """What the object refers to, each once, in order of first mention."""
    return list(dict.fromkeys(session.graph.references(index).tolist()))[:limit]


def _reference(session: Session, index: int) -> Reference:
    return Reference(Address(session.table.address_of(index)), Naming(session).type_of_index(index))


def _neighbour(session: Session, source: int, target: int, incoming: bool) -> ReferrerRow:
    shown = source if incoming else target
    try:
        via = session.edge(int(session.table.address_of(source)), int(session.table.address_of(target)))
    except (Unreadable, Malformed) as error:
        via = f"<{error}>"
    return ReferrerRow(Address(session.table.address_of(shown)), Naming(session).type_of_index(shown), via)


def _lock(session: Session, lock: LockFacts | None) -> LockFacts | None:
    """The lock with its owner where a sync block has it."""
    if lock is None or lock.kind != "sync block" or lock.sync_block_index is None:
        return lock
    try:
        block = next((found for found in session.sync_blocks if found.index == lock.sync_block_index), None)
    except HeaphoundError:
        return lock  # the sync block's number still is shown; its content is not in the dump
    return lock if block is None else replace(lock, owner_managed_id=block.owner_managed_id, recursion=block.recursion)
