"""How far the tasks of a dump have come, and the exceptions of those that failed.

Source: Task.Status and the TASK_STATE_* of src/libraries/System.Private.CoreLib, Threading/Tasks/Task.cs, and TaskExceptionHolder.cs, 3.1
to 10.0: an exception is observed when somebody awaits the task, waits for it or asks for its Exception.
"""

import numpy as np

from heaphound.address import Address
from heaphound.answers.async_links import AsyncLinks
from heaphound.answers.async_nodes import STARTS, fields_by_name
from heaphound.answers.naming import Naming
from heaphound.errors import Malformed, Unreadable
from heaphound.results.tasks import FaultRow, TaskCounts
from heaphound.session import Session

FAULTED, CANCELLED, RAN, COMPLETED = 0x200000, 0x400000, 0x1000000, 0x1600000
WAITING_ON_CHILDREN, DELEGATE_INVOKED, STARTED, PROMISE = 0x800000, 0x20000, 0x10000, 0x2000000
MAXIMUM_FAULTS = 100_000


class TaskStates:
    """Counts tasks by state; reads the exceptions of at most MAXIMUM_FAULTS of those that failed."""

    def __init__(self, session: Session, links: AsyncLinks, naming: Naming) -> None:
        self._session = session
        self._memory = session.core.memory
        self._naming = naming
        self._counts = dict.fromkeys(TaskCounts.__slots__, 0)
        self._faulted: list[tuple[int, int]] = []
        """(task, address of its m_contingentProperties)."""
        for place, addresses, flags in links.task_flags():
            left = np.ones(len(flags), dtype=bool)
            for name, mask in _STATES:
                those = left & ((flags & mask) != 0)
                self._counts[name] += int(those.sum())
                left &= ~those
            self._counts["created"] += int(left.sum())
            if place.properties_offset is not None:
                failed = addresses[(flags & FAULTED) != 0][: MAXIMUM_FAULTS - len(self._faulted)]
                self._faulted += [(task, task + place.properties_offset) for task in failed.tolist()]

    def counts(self) -> TaskCounts:
        """All tasks of the heap by state."""
        return TaskCounts(**self._counts)

    def faults(self) -> tuple[FaultRow, ...]:
        """The exceptions of failed tasks by type: those that nobody has observed first, then the most frequent."""
        found: dict[str | None, list[tuple[bool, int, int | None]]] = {}
        for task, properties in self._faulted:
            handled, exception = self._fault(properties)
            name = None if exception is None else self._naming.type_of(exception)
            found.setdefault(name, []).append((handled, task, exception))
        rows = [_row(name, tasks) for name, tasks in found.items()]
        return tuple(sorted(rows, key=lambda row: (-(row.unobserved or 0), -row.count, row.type)))

    def _fault(self, properties: int) -> tuple[bool, int | None]:
        """Whether the exception of a task was observed, and its address; observed and None where it cannot be read."""
        try:
            holder = self._follow(self._memory.pointer(properties), "m_exceptionsHolder")
            handled = bool(self._memory.u8(holder + self._offset(holder, "m_isHandled")))
            listed = self._follow(self._follow(holder, "m_faultExceptions"), "_items")
            return handled, self._follow(self._memory.pointer(listed + 2 * STARTS), "_exception")
        except (Unreadable, Malformed, KeyError):
            return True, None

    def _follow(self, address: int, name: str) -> int:
        return self._memory.pointer(address + self._offset(address, name))

    def _offset(self, address: int, name: str) -> int:
        mask = ~self._session.runtime.layout.constant("ObjectToMethodTableUnmask")
        offset = fields_by_name(self._session.types.type(self._memory.pointer(address) & mask))[name].offset
        if offset is None:
            raise Malformed(f"{name} has no place")
        return STARTS + offset


_STATES = (
    ("faulted", FAULTED),
    ("cancelled", CANCELLED),
    ("completed", RAN),
    ("waiting_for_children", WAITING_ON_CHILDREN),
    ("running", DELEGATE_INVOKED),
    ("queued", STARTED),
    ("promised", PROMISE),
)


def _row(name: str | None, tasks: list[tuple[bool, int, int | None]]) -> FaultRow:
    _, task, exception = min(tasks)  # one that nobody observed, if there is one
    unobserved = None if name is None else sum(not handled for handled, _, _ in tasks)
    shown = None if exception is None else Address(exception)
    return FaultRow(name or "an exception that is not in the dump", len(tasks), unobserved, Address(task), shown)
