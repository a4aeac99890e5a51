"""Locks that are objects of their own and that some thread holds or waits for: Lock, ReaderWriterLockSlim, ReaderWriterLock.

Fields of System.Private.CoreLib: Lock has `_recursionCount` (entries after the first) and `_state` (bit 0: held; waiters from bit 6 on).
"""

from collections.abc import Mapping

from heaphound.address import Address
from heaphound.results.locks import LockRow
from heaphound.results.threads import WaitRow
from heaphound.runtime.lock_holders import LockHolders
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES
from heaphound.session import Session

_LOCK = "System.Threading.Lock"
_READER_WRITER = ("System.Threading.ReaderWriterLockSlim", "System.Threading.ReaderWriterLock")
_WAITERS_SHIFT = 6


def read_lock_objects(session: Session, waits: Mapping[int, WaitRow]) -> list[LockRow]:
    """Rows of such locks in use; `waits` are what threads wait for, by managed id. Raises Unreadable."""
    rows: list[LockRow] = []
    table = session.table
    indices = {method_table: index for index, method_table in enumerate(table.method_tables.tolist())}
    holders = LockHolders(session.runtime, session.types, session.threads)
    ended = {thread.managed_id for thread in session.threads if not thread.alive}
    waiting: dict[int, list[int]] = {}
    for thread, row in waits.items():
        if row.object is not None:
            waiting.setdefault(row.object, []).append(thread)
    for name in (_LOCK, *_READER_WRITER):
        for found in session.types.find(name):
            index = indices.get(found.method_table)
            for address in () if index is None else table.addresses_of(table.instances(index)).tolist():
                threads = tuple(waiting.get(address, ()))
                held = holders.of(address)
                recursion, entering = _state(session, found, address) if name == _LOCK else (int(held.exclusive is not None), len(threads))
                if held.all or held.os_id is not None or threads or entering:
                    kind = "lock" if name == _LOCK else "reader-writer lock"
                    rows.append(
                        LockRow(
                            kind=kind,
                            object=Address(address),
                            type=name,
                            owner=held.exclusive,
                            recursion=recursion,
                            entering=max(entering, len(threads)),
                            entering_threads=threads,
                            owner_ended=held.exclusive in ended or held.os_id is not None,
                            owner_os_id=held.os_id,
                            readers=held.shared,
                        )
                    )
    return rows


def _state(session: Session, found: Type, address: int) -> tuple[int, int]:
    """(how often its holder has entered, how many threads wait) of a Lock."""
    places = {field.name: field.offset for field in found.fields}
    recursion, state = places.get("_recursionCount"), places.get("_state")
    if recursion is None or state is None:
        return 0, 0
    bits = session.core.memory.u32(address + OBJECT_HEADER_BYTES + state)
    entered = session.core.memory.u32(address + OBJECT_HEADER_BYTES + recursion) + 1 if bits & 1 else 0
    return entered, bits >> _WAITERS_SHIFT
