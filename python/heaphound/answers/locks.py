"""`locks`: sync blocks, thin locks and System.Threading.Lock objects in use, with waiters and deadlocks."""

from collections.abc import Mapping

import numpy as np

from heaphound.address import Address
from heaphound.answers.facts import dump_facts
from heaphound.answers.lacking import TAKE_ANOTHER
from heaphound.answers.lock_objects import read_lock_objects
from heaphound.answers.naming import Naming
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.types import BLOCK
from heaphound.errors import DumpError, HeaphoundError, Unreadable
from heaphound.results.answer import Answer, Coverage
from heaphound.results.locks import DeadlockStep, LockRow, LocksResult
from heaphound.runtime.sync_blocks import SyncBlock, read_thin_locks
from heaphound.session import Session


def locks(session: Session) -> Answer[LocksResult]:
    """Locks that some thread holds or waits for; the walk over the heap finds thin locks and Lock objects."""
    naming, stacks = Naming(session), StackRows(session)
    notes = list(stacks.notes)
    wants = _wants(session, stacks)
    managed = {thread.address: thread.managed_id for thread in session.threads}
    blocks = _sync_blocks(session)
    rows = [
        _monitor(naming, block, wants, managed)
        for block in blocks
        if block.owner_managed_id is not None or block.owner is not None or block.entering or block.waiting
    ]
    try:
        rows += _thin_locks(session, naming)
        rows += read_lock_objects(session)
    except HeaphoundError as error:
        notes.append(f"locks in object headers are not known: {error}")
    owners = {row.object: row.owner for row in rows if row.owner is not None}
    deadlocks = tuple(tuple(_step(naming, thread, wants, owners) for thread in cycle) for cycle in find_cycles(wants, owners))
    return Answer(dump_facts(session), Coverage(notes=tuple(notes)), LocksResult(tuple(rows), deadlocks, len(blocks)))


def _sync_blocks(session: Session) -> list[SyncBlock]:
    """The sync blocks; for a dump that was never meant to have them, the sentence says what to take instead."""
    try:
        return session.sync_blocks
    except Unreadable as error:
        remedy = f"; {TAKE_ANOTHER}" if session.core.writer.mode == "mini" else ""
        waits = "; `threads` and `stack` show who waits for one" if remedy else ""
        raise DumpError(f"{session.core.path}: the table of locks is not in this file: {error}{remedy}{waits}") from error


def find_cycles(wants: Mapping[int, int], owners: Mapping[Address, int] | Mapping[int, int]) -> list[list[int]]:
    """Cycles of threads, each waiting for a lock that the next holds. `wants`: thread to lock; `owners`: lock to thread."""
    cycles: list[list[int]] = []
    done: set[int] = set()
    for first in sorted(wants):
        path: list[int] = []
        thread: int | None = first
        while thread is not None and thread not in done and thread not in path:
            path.append(thread)
            thread = owners.get(Address(wants[thread])) if thread in wants else None
        if thread is not None and thread in path:
            cycles.append(path[path.index(thread) :])
        done.update(path)
    return cycles


def _wants(session: Session, stacks: StackRows) -> dict[int, int]:
    """Managed id to the object whose monitor the thread waits to enter, where its stack tells."""
    found: dict[int, int] = {}
    for thread in session.threads:
        row = stacks.thread(thread, 0)
        if row.waits is not None and row.waits.kind == "monitor enter" and row.waits.object is not None:
            found[thread.managed_id] = row.waits.object
    return found


def _step(naming: Naming, thread: int, wants: Mapping[int, int], owners: Mapping[Address, int]) -> DeadlockStep:
    wanted = Address(wants[thread])
    return DeadlockStep(thread, wanted, naming.type_of(wanted), owners[wanted])


def _monitor(naming: Naming, block: SyncBlock, wants: Mapping[int, int], managed: Mapping[int, int]) -> LockRow:
    return LockRow(
        kind="monitor",
        object=Address(block.object),
        type=naming.type_of(block.object),
        owner=block.owner_managed_id,
        recursion=block.recursion,
        entering=block.entering,
        entering_threads=tuple(thread for thread, wanted in wants.items() if wanted == block.object),
        waiting_threads=tuple(managed[waiter] for waiter in block.waiting if waiter in managed),
        sync_block=block.index,
    )


def _thin_locks(session: Session, naming: Naming) -> list[LockRow]:
    table = session.table
    free_table = session.runtime.global_value("FreeObjectMethodTable")
    free = np.flatnonzero(table.method_tables == np.uint64(free_table)).astype(np.uint32)
    rows: list[LockRow] = []
    for start in range(0, table.object_count, BLOCK):
        stop = min(start + BLOCK, table.object_count)
        addresses = table.addresses(start, stop)[~np.isin(table.type_indices(start, stop), free)]
        for lock in read_thin_locks(session.runtime, addresses):
            name = naming.type_of(lock.object)
            rows.append(LockRow("thin", Address(lock.object), name, lock.owner_managed_id, lock.recursion))
    return rows
