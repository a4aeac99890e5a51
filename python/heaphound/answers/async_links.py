"""All that waits asynchronously in one dump, and what each waits for, by addresses."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from heaphound.answers.async_nodes import COMPLETED, STARTS, NodeShape, fields_by_name, node_shape
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.types import Type
from heaphound.session import Session

MAXIMUM_NODES = 1_000_000
LIST_LIMIT = 1_000_000
DEEPEST = 1000
ENDED, UNKNOWN = -2, -(1 << 31)  # AsyncIteratorMethodBuilder and the compiler: -1 running, -2 ended; no state is that low
NAMING = ("method", "suspended", "thunk")  # kinds of which the one that waits tells what it waits for, or is asked for it
LIST_OF_CONTINUATIONS = "System.Collections.Generic.List<System.Object>"
WAITING_THREADS = ("System.Threading.Tasks.Task+SetOnInvokeMres", "System.Threading.Tasks.Task+SetOnCountdownMres")


@dataclass(frozen=True, slots=True)
class Node:
    """One that waits. `state` is the await that a method stands at; None where the metadata to find its field is missing, or for others."""

    shape: NodeShape
    state: int | None


class AsyncLinks:
    """Reads nodes and links of one dump. O(tasks): arrays, but for what waits for several others."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._memory = session.core.memory
        self._mask = ~session.runtime.layout.constant("ObjectToMethodTableUnmask")
        self.nodes: dict[int, Node] = {}
        self.finished = 0
        """Boxes of methods that have ended."""
        self.cut = 0
        self.awaited: dict[int, list[int]] = {}
        """Node → objects that it waits for: nodes, or at the bottom anything. Absent where nothing is known."""
        self.blocking: dict[int, list[int]] = {}
        """Task → events on which threads wait for its end."""
        self.thunks: dict[int, int] = {}
        """Innermost method of those that the runtime suspended → the task of them all, which is told when they can go on."""
        self._machines: dict[int, int] = {}
        self._shapes: dict[int, NodeShape] = {}
        self._tasks: list[tuple[int, int, int]] = []
        for table in session.table.method_tables:
            self._sort(int(table))
        for shape in self._shapes.values():
            if shape.kind != "suspended":
                self._read(shape)
        self._direct()
        self._suspended()
        self._by_continuation()

    def is_completed(self, address: int) -> bool:
        """Whether an object is a task that has ended."""
        try:
            found = self._session.types.type(self._memory.pointer(address) & self._mask)
            flags = fields_by_name(found).get("m_stateFlags")
            if flags is None or flags.offset is None:
                return False
            return bool(self._memory.u32(address + STARTS + flags.offset) & COMPLETED)
        except (Unreadable, Malformed):
            return False

    def _sort(self, table: int) -> None:
        """Note a type of nodes, and a type of tasks. A type that cannot be read is neither; the walk of the heap tells those."""
        try:
            found = self._session.types.type(table)
            shape = node_shape(found)
            if shape is not None:
                self._shapes[table] = shape
            if _is_task(found):
                fields = fields_by_name(found)
                flags, continuation = fields["m_stateFlags"].offset, fields["m_continuationObject"].offset
                if flags is not None and continuation is not None:
                    self._tasks.append((table, STARTS + flags, STARTS + continuation))
        except (Unreadable, Malformed, KeyError):
            return

    def _instances(self, table: int, limit: int | None = None) -> NDArray[np.uint64]:
        heap = self._session.table
        indices = heap.instances(int(np.searchsorted(heap.method_tables, np.uint64(table))))
        return heap.addresses_of(indices if limit is None else indices[:limit])

    def _read(self, shape: NodeShape) -> None:
        """Fill `nodes` with those of one type."""
        addresses = self._instances(shape.type.method_table)
        states = self._states(shape, addresses)
        ended = states == ENDED
        if shape.flags_offset is not None:
            flags, present = self._memory.image.gather_u32(addresses + np.uint64(shape.flags_offset))
            ended |= present & ((flags & COMPLETED) != 0)
        self.finished += int(ended.sum()) if shape.kind == "method" else 0
        waiting, states = addresses[~ended], states[~ended]
        room = MAXIMUM_NODES - len(self.nodes)
        self.cut += max(0, len(waiting) - room)
        waiting, states = waiting[:room], states[:room]
        if shape.machine_is_object:
            machines = self._memory.image.gather_u64(waiting + np.uint64(shape.machine_offset))[0]
            self._machines.update(zip(machines.tolist(), waiting.tolist(), strict=True))
        for address, state in zip(waiting.tolist(), states.tolist(), strict=True):
            self.nodes[address] = Node(shape, None if state == UNKNOWN else state)

    def _states(self, shape: NodeShape, addresses: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The state of each box; UNKNOWN where its field is not known or not in the dump."""
        if shape.state_offset is None:
            return np.full(len(addresses), UNKNOWN, dtype=np.int32)
        offset = np.uint64(shape.state_offset + (STARTS if shape.machine_is_object else 0))
        states, present = self._memory.image.gather_u32(self._machine_starts(shape, addresses) + offset)
        return np.where(present, states.view(np.int32), np.int32(UNKNOWN))

    def _machine_starts(self, shape: NodeShape, addresses: NDArray[np.uint64]) -> NDArray[np.uint64]:
        starts = addresses + np.uint64(shape.machine_offset)
        return self._memory.image.gather_u64(starts)[0] if shape.machine_is_object else starts

    def _direct(self) -> None:
        """Links that lie in the waiting object itself: the awaiter that is set, the task that a continuation follows."""
        of_shape: dict[int, list[int]] = {}
        for address, node in self.nodes.items():
            if node.shape.awaited:
                of_shape.setdefault(node.shape.type.method_table, []).append(address)
        for table, addresses in of_shape.items():
            shape = self._shapes[table]
            own = np.array(addresses, dtype=np.uint64)
            bases = self._memory.image.gather_u64(own + np.uint64(shape.machine_offset))[0] if shape.machine_is_object else own
            found = np.zeros(len(own), dtype=np.uint64)
            for offset in shape.awaited:
                values, present = self._memory.image.gather_u64(bases + np.uint64(offset))
                found = np.where((found == 0) & present, values, found)
            for address, target in zip(addresses, found.tolist(), strict=True):
                if target:
                    self.awaited[address] = [self._machines.get(target, target)]

    def _suspended(self) -> None:
        """Chains of methods that the runtime suspended: from a thunk to the innermost, from there by who goes on after each."""
        thunks = [(address, node.shape.next_offset) for address, node in self.nodes.items() if node.shape.kind == "thunk"]
        for thunk, offset in thunks:
            try:
                at = self._memory.pointer(thunk + offset) if offset is not None else 0
                chain = list(self._continuations(at))
            except (Unreadable, Malformed):
                continue  # how far it had come is not in the dump: the task alone is shown
            for inner, outer in pairwise([address for address, _ in chain] + [thunk]):
                self.awaited.setdefault(outer, []).append(inner)
            self.nodes.update((address, node) for address, node in chain)
            if chain:
                self.thunks[chain[0][0]] = thunk

    def _continuations(self, address: int) -> Iterator[tuple[int, Node]]:
        seen: set[int] = set()
        while address and address not in seen and len(seen) < DEEPEST:
            seen.add(address)
            shape = self._shapes.get(self._memory.pointer(address) & self._mask)
            if shape is None or shape.next_offset is None or shape.resume_offset is None or shape.kind != "suspended":
                return
            if self._memory.pointer(address + shape.resume_offset):  # the last one only takes the result
                state = None if shape.state_offset is None else self._memory.i32(address + shape.state_offset)
                yield address, Node(shape, state)
            address = self._memory.pointer(address + shape.next_offset)

    def _by_continuation(self) -> None:
        """Links that lie in what is waited for: a task that ends tells whatever is in its `m_continuationObject`."""
        for table, flags_offset, continuation_offset in self._tasks:
            addresses = self._instances(table)
            flags, present = self._memory.image.gather_u32(addresses + np.uint64(flags_offset))
            continuations, readable = self._memory.image.gather_u64(addresses + np.uint64(continuation_offset))
            waited = present & readable & ((flags & COMPLETED) == 0) & (continuations != 0)
            tables = self._memory.image.gather_u64(continuations[waited])[0] & np.uint64(self._mask & (1 << 64) - 1)
            told = {int(one): self._tells(int(one)) for one in np.unique(tables)}
            chosen = np.array([told[one] for one in tables.tolist()], dtype=bool)
            for task, told_one in zip(addresses[waited][chosen].tolist(), continuations[waited][chosen].tolist(), strict=True):
                for continuation in self._each(told_one):
                    self._link(task, continuation)

    def _tells(self, table: int) -> bool:
        """Whether a continuation of that type matters here: methods and continuation tasks name what they wait for themselves."""
        shape = self._shapes.get(table)
        name = self._type_name(table)
        return (shape is not None and shape.kind not in NAMING) or name == LIST_OF_CONTINUATIONS or name in WAITING_THREADS

    def _link(self, task: int, continuation: int) -> None:
        node = self.nodes.get(continuation)
        try:
            name = "" if node is not None else self._type_name(self._memory.pointer(continuation) & self._mask)
        except Unreadable:
            return
        if node is not None and node.shape.kind not in NAMING:
            linked = self.awaited.setdefault(continuation, [])
            if task not in linked[-1:] and (node.shape.kind in ("all", "any") or not linked):
                linked.append(task)
        elif name in WAITING_THREADS:
            self.blocking.setdefault(task, []).append(continuation)

    def _each(self, continuation: int) -> Iterator[int]:
        """The continuation itself, or those in the list that several make."""
        try:
            found = self._session.types.type(self._memory.pointer(continuation) & self._mask)
            if found.name != LIST_OF_CONTINUATIONS:
                yield continuation
                return
            fields = fields_by_name(found)
            items, size = fields["_items"].offset, fields["_size"].offset
            if items is None or size is None:
                return
            array = self._memory.pointer(continuation + STARTS + items)
            count = min(self._memory.u32(continuation + STARTS + size), self._memory.u32(array + STARTS), LIST_LIMIT)
            yield from (item for item in self._memory.words(array + 2 * STARTS, count) if item)
        except (Unreadable, Malformed, KeyError):
            return  # who else is told of its end is not in the dump: those show no link

    def _type_name(self, table: int) -> str:
        try:
            return self._session.types.type(table).name
        except (Unreadable, Malformed):
            return ""


def _is_task(found: Type) -> bool:
    return any(base.name == "System.Threading.Tasks.Task" for base in (found, *found.bases()))
