"""Which types of a heap have to do with async methods, and the addresses of their objects, found in one pass over the heap."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.answers.async_nodes import STARTS, TASK, NodeShape, fields_by_name, node_shape
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.types import Type
from heaphound.session import Session

OBJECTS_AT_ONCE = 1 << 22
LOOP = "System.Threading.Tasks.Parallel+"  # ..., 6.0 and later: what the methods of Parallel.ForEachAsync share, with a promise of its own
LOOP_END = "ForEachAsyncState"


@dataclass(frozen=True, slots=True)
class TaskPlace:
    """A type of tasks; offsets in bytes from an object's address. `properties_offset` is of m_contingentProperties."""

    method_table: int
    flags_offset: int
    continuation_offset: int
    action_offset: int | None
    properties_offset: int | None


class AsyncTypes:
    """The types, sorted. One that cannot be read is none of them; the walk of the heap tells those."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.shapes: dict[int, NodeShape] = {}
        self.tasks: list[TaskPlace] = []
        self._loops: list[Type] = []
        for table in session.table.method_tables.tolist():
            try:
                self._sort(session.types.type(table))
            except (Unreadable, Malformed, KeyError):
                continue

    def tables(self) -> set[int]:
        """Method tables of all of them."""
        return {*self.shapes, *(place.method_table for place in self.tasks), *(found.method_table for found in self._loops)}

    def name(self, table: int) -> str:
        """Name of a type; empty where it cannot be read."""
        try:
            return self._session.types.type(table).name
        except (Unreadable, Malformed):
            return ""

    def loops(self, instances: "Instances") -> Iterator[tuple[NodeShape, NDArray[np.uint64], int]]:
        """(shape of its promise, what its methods share, offset there of the promise) for each type of Parallel.ForEachAsync."""
        for found in self._loops:
            task = fields_by_name(found).get("_task")
            if task is not None and task.offset is not None and task.type.type is not None:
                shape = NodeShape(task.type.type, "parallel", None, None)
                yield shape, instances.of(found.method_table), STARTS + task.offset

    def _sort(self, found: Type) -> None:
        shape = node_shape(found)
        if shape is not None:
            self.shapes[found.method_table] = shape
        if found.name.startswith(LOOP) and found.name.partition("<")[0].endswith(LOOP_END):
            self._loops.append(found)
        if any(base.name == TASK for base in (found, *found.bases())):
            fields = fields_by_name(found)
            flags, continuation = fields["m_stateFlags"].offset, fields["m_continuationObject"].offset
            others = [fields[name].offset if name in fields else None for name in ("m_action", "m_contingentProperties")]
            if flags is not None and continuation is not None:
                action, properties = (None if offset is None else STARTS + offset for offset in others)
                self.tasks.append(TaskPlace(found.method_table, STARTS + flags, STARTS + continuation, action, properties))


class Instances:
    """Addresses of the objects of these types."""

    def __init__(self, session: Session, types: AsyncTypes) -> None:
        table = session.table
        wanted = np.isin(table.method_tables, np.array(sorted(types.tables()), dtype=np.uint64))
        kinds, indices = [np.zeros(0, dtype=np.uint32)], [np.zeros(0, dtype=np.uint32)]
        for start in range(0, table.object_count if wanted.any() else 0, OBJECTS_AT_ONCE):
            part = table.type_indices(start, min(start + OBJECTS_AT_ONCE, table.object_count))
            at = np.flatnonzero(wanted[part])
            kinds.append(part[at])
            indices.append((at + start).astype(np.uint32))
        kind, index = np.concatenate(kinds), np.concatenate(indices)
        order = np.argsort(kind, kind="stable")
        self._kinds, self._addresses = kind[order], table.addresses_of(index[order])
        self._tables = table.method_tables

    def of(self, method_table: int) -> NDArray[np.uint64]:
        """Addresses of the objects of a type, ascending."""
        kind = int(np.searchsorted(self._tables, np.uint64(method_table)))
        return self._addresses[np.searchsorted(self._kinds, kind) : np.searchsorted(self._kinds, kind, side="right")]
