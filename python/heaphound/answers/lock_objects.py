"""System.Threading.Lock objects (9.0 and later) that some thread holds or waits for.

Fields of System.Private.CoreLib: `_owningThreadId` (managed id, 0 for none), `_recursionCount` (entries after the first), `_state` (bit 0:
held; waiters from bit 6 on).
"""

from heaphound.address import Address
from heaphound.results.locks import LockRow
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES
from heaphound.session import Session

_NAME = "System.Threading.Lock"
_WAITERS_SHIFT = 6


def read_lock_objects(session: Session) -> list[LockRow]:
    """Rows of the Lock objects in use; none for a runtime without the type. Raises Unreadable."""
    rows: list[LockRow] = []
    table = session.table
    indices = {method_table: index for index, method_table in enumerate(table.method_tables.tolist())}
    for found in session.types.find(_NAME):
        index = indices.get(found.method_table)
        offsets = _offsets(found)
        if index is None or offsets is None:
            continue
        for address in table.addresses_of(table.instances(index)).tolist():
            row = _row(session, address, offsets)
            if row is not None:
                rows.append(row)
    return rows


def _offsets(found: Type) -> tuple[int, int, int] | None:
    places = {field.name: field.offset for field in found.fields}
    owner, recursion, state = places.get("_owningThreadId"), places.get("_recursionCount"), places.get("_state")
    return None if owner is None or recursion is None or state is None else (owner, recursion, state)


def _row(session: Session, address: int, offsets: tuple[int, int, int]) -> LockRow | None:
    owner, recursion, state = (session.core.memory.u32(address + OBJECT_HEADER_BYTES + offset) for offset in offsets)
    if not state & 1 and not state >> _WAITERS_SHIFT:
        return None
    return LockRow("lock", Address(address), _NAME, owner or None, recursion + 1 if owner else 0, state >> _WAITERS_SHIFT)
