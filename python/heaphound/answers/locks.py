"""`locks`: sync blocks, thin locks and lock objects in use, what else threads wait for, and deadlocks."""

from collections.abc import Mapping

import numpy as np

from heaphound.address import Address
from heaphound.answers.deadlocks import find_deadlocks
from heaphound.answers.facts import dump_facts
from heaphound.answers.lacking import TAKE_ANOTHER
from heaphound.answers.lock_objects import read_lock_objects
from heaphound.answers.naming import Naming
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.types import BLOCK
from heaphound.answers.wait_rows import ENTER, PULSE
from heaphound.errors import DumpError, HeaphoundError, Unreadable
from heaphound.results.answer import Answer, Coverage
from heaphound.results.locks import LockRow, LocksResult
from heaphound.results.threads import WaitRow
from heaphound.runtime.sync_blocks import SyncBlock, read_thin_locks
from heaphound.session import Session


def locks(session: Session) -> Answer[LocksResult]:
    """Locks that some thread holds or waits for; the walk over the heap finds thin locks and lock objects that nobody waits for."""
    naming, stacks = Naming(session), StackRows(session)
    notes = list(stacks.notes)
    rows_of_threads = [(thread, stacks.thread(thread, 0)) for thread in session.threads]
    waits = {thread.managed_id: row.waits for thread, row in rows_of_threads if row.waits is not None}
    managed = {thread.address: thread.managed_id for thread in session.threads}
    ended = {thread.managed_id for thread in session.threads if not thread.alive}
    blocks = _sync_blocks(session)
    rows = [
        _monitor(naming, block, waits, managed, ended)
        for block in blocks
        if block.owner_managed_id is not None or block.owner is not None or block.entering or block.waiting
    ]
    try:
        rows += _thin_locks(session, naming, ended)
        rows += read_lock_objects(session, waits)
    except HeaphoundError as error:
        notes.append(f"locks in object headers are not known: {error}")
    rows += _waited_for(waits, {row.object for row in rows})
    deadlocks, behind = find_deadlocks(waits)
    return Answer(dump_facts(session), Coverage(notes=tuple(notes)), LocksResult(tuple(rows), deadlocks, len(blocks), behind))


def _sync_blocks(session: Session) -> list[SyncBlock]:
    """The sync blocks; for a dump that was never meant to have them, the sentence says what to take instead."""
    try:
        return session.sync_blocks
    except Unreadable as error:
        remedy = f"; {TAKE_ANOTHER}" if session.core.writer.mode == "mini" else ""
        waits = "; `threads` and `stack` show who waits for one" if remedy else ""
        raise DumpError(f"{session.core.path}: the table of locks is not in this file: {error}{remedy}{waits}") from error


def _monitor(naming: Naming, block: SyncBlock, waits: Mapping[int, WaitRow], managed: Mapping[int, int], ended: set[int]) -> LockRow:
    waiting = tuple(managed[waiter] for waiter in block.waiting if waiter in managed)
    inside = {waits[thread].kind for thread in waiting if thread in waits and waits[thread].kind != PULSE}
    return LockRow(
        kind="monitor",
        object=Address(block.object),
        type=naming.type_of(block.object),
        owner=block.owner_managed_id,
        recursion=block.recursion,
        entering=block.entering,
        entering_threads=tuple(thread for thread, row in waits.items() if row.kind == ENTER and row.object == block.object),
        waiting_threads=waiting,
        sync_block=block.index,
        owner_ended=block.owner_managed_id in ended,
        inside=inside.pop() if len(inside) == 1 and block.owner is None and not block.entering else None,
    )


def _thin_locks(session: Session, naming: Naming, ended: set[int]) -> list[LockRow]:
    table = session.table
    free_table = session.runtime.global_value("FreeObjectMethodTable")
    free = np.flatnonzero(table.method_tables == np.uint64(free_table)).astype(np.uint32)
    rows: list[LockRow] = []
    for start in range(0, table.object_count, BLOCK):
        stop = min(start + BLOCK, table.object_count)
        addresses = table.addresses(start, stop)[~np.isin(table.type_indices(start, stop), free)]
        for lock in read_thin_locks(session.runtime, addresses):
            name, owner = naming.type_of(lock.object), lock.owner_managed_id
            rows.append(LockRow("thin", Address(lock.object), name, owner, lock.recursion, owner_ended=owner in ended))
    return rows


def _waited_for(waits: Mapping[int, WaitRow], known: set[Address | None]) -> list[LockRow]:
    """What threads wait for that is no lock of the rows so far: one row for all that wait for the same."""
    found: dict[tuple[str, Address | None, str | None], list[int]] = {}
    for thread, row in waits.items():
        if row.kind not in (ENTER, PULSE) and (row.object is not None or row.type is not None) and row.object not in known:
            found.setdefault((row.kind, row.object, row.type), []).append(thread)
    rows = []
    for (kind, address, name), threads in found.items():
        first = waits[threads[0]]
        readers = tuple(sorted({reader for thread in threads for reader in waits[thread].readers}))
        rows.append(
            LockRow(
                kind=kind,
                object=address,
                type=name,
                owner=first.owner,
                entering=len(threads),
                entering_threads=tuple(threads),
                owner_ended=first.owner_ended,
                readers=readers,
                owner_os_id=first.owner_os_id,
            )
        )
    return rows
