"""All that waits asynchronously in one dump, and what each waits for, as arrays: a process may have millions of them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heaphound.answers.async_instances import AsyncTypes, Instances, TaskPlace
from heaphound.answers.async_nodes import COMPLETED, STARTS, NodeShape, fields_by_name
from heaphound.errors import Malformed, Unreadable
from heaphound.session import Session

MAXIMUM_NODES = 50_000_000
LIST_LIMIT = 10_000_000
DEEPEST = 1000
ENDED, UNKNOWN = -2, -(1 << 31)  # AsyncIteratorMethodBuilder and the compiler: -1 running, -2 ended; no state is that low
NAMING = ("method", "suspended", "thunk")  # kinds of which the one that waits tells what it waits for, or is asked for it
SEVERAL = ("all", "any", "parallel", "each")  # kinds that wait for several things at once
LIST_OF_CONTINUATIONS = "System.Collections.Generic.List<System.Object>"
WAITING_THREADS = ("System.Threading.Tasks.Task+SetOnInvokeMres", "System.Threading.Tasks.Task+SetOnCountdownMres")
Addresses = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class AsyncLinks:
    """Reads nodes and links of one dump. O(tasks), by arrays.

    Nodes are numbered: those that wait first, what they wait for at the bottom behind them. `sources[i]` awaits `targets[i]`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._image = session.core.memory.image
        self._mask = np.uint64(~session.runtime.layout.constant("ObjectToMethodTableUnmask") & (1 << 64) - 1)
        self.finished = 0
        """Boxes of methods that have ended."""
        self.cut = 0
        self.blocking: dict[int, list[int]] = {}
        """Task → events on which threads wait for its end."""
        self.thunks: dict[int, int] = {}
        """Innermost method of those that the runtime suspended → the task of them all, which is told when they can go on."""
        self._types = AsyncTypes(session)
        self._instances = Instances(session, self._types)
        self._parts: list[tuple[Addresses, NodeShape, NDArray[np.int32]]] = []
        self._aliases: list[tuple[Addresses, Addresses]] = []
        """(objects that stand for a node, the nodes): state machines in objects of their own, tasks of builders that are not known."""
        for shape in self._types.shapes.values():
            if shape.kind != "suspended" and not shape.is_machine:
                self._read(shape)
        self._read_machines()
        self._suspended = self._runtime_suspended()
        self._number()
        self._link()

    @property
    def count(self) -> int:
        """How many wait: nodes from there on are what stands at the bottom."""
        return self._count

    def address(self, node: int) -> int:
        """The object of a node, or at the bottom."""
        return int(self.addresses[node])

    def shape(self, node: int) -> NodeShape:
        """What a node is. Only for those that wait."""
        return self._shapes[int(self.shape_numbers[node])]

    def state(self, node: int) -> int | None:
        """The await that a method stands at; None where the metadata to find its field is missing, or for others."""
        state = int(self.states[node])
        return None if state == UNKNOWN else state

    def node_of(self, address: int) -> int | None:
        """The node of an object that waits, or that is awaited, or of a source by its task; None for another object."""
        number = int(self.numbers_of(np.array([address], dtype=np.uint64))[0])
        if number >= 0:
            return number
        bottoms = self.addresses[self._count :]
        at = int(np.searchsorted(bottoms, np.uint64(address)))
        if at < len(bottoms) and int(bottoms[at]) == address:
            return self._count + at
        try:
            memory = self._session.core.memory
            task = fields_by_name(self._session.types.type(memory.pointer(address) & int(self._mask))).get("_task")
            inner = 0 if task is None or task.offset is None else memory.pointer(address + STARTS + task.offset)
        except (Unreadable, Malformed):
            return None
        return self.node_of(inner) if inner and inner != address else None

    def waiting(self) -> int:
        """How many methods wait."""
        kinds = np.array([shape.kind in ("method", "suspended") for shape in self._shapes], dtype=bool)
        return int(kinds[self.shape_numbers].sum()) if len(kinds) else 0

    def is_completed(self, address: int) -> bool:
        """Whether an object is a task that has ended."""
        try:
            found = self._session.types.type(self._session.core.memory.pointer(address) & int(self._mask))
            flags = fields_by_name(found).get("m_stateFlags")
            if flags is None or flags.offset is None:
                return False
            return bool(self._session.core.memory.u32(address + STARTS + flags.offset) & COMPLETED)
        except (Unreadable, Malformed):
            return False

    def task_flags(self) -> Iterator[tuple[TaskPlace, Addresses, NDArray[np.uint32]]]:
        """(where its fields are, addresses, m_stateFlags) of all tasks, type by type, but for those that the dump lacks."""
        for place in self._types.tasks:
            addresses = self._instances.of(place.method_table)
            flags, present = self._image.gather_u32(addresses + np.uint64(place.flags_offset))
            yield place, addresses[present], flags[present]

    def _read(self, shape: NodeShape) -> None:
        """Note the instances of one type that have not ended."""
        addresses = self._instances.of(shape.type.method_table)
        states = self._read_states(shape, addresses)
        ended = states == ENDED
        if shape.flags_offset is not None:
            flags, present = self._image.gather_u32(addresses + np.uint64(shape.flags_offset))
            ended |= present & ((flags & COMPLETED) != 0)
        self.finished += int(ended.sum()) if shape.kind == "method" else 0
        waiting = self._note(shape, addresses[~ended], states[~ended])
        if shape.machine_is_object:
            self._aliases.append((self._image.gather_u64(waiting + np.uint64(shape.machine_offset))[0], waiting))

    def _read_machines(self) -> None:
        """State machines that no known box has: those of builders of the program's own, which are found by what the builder refers to."""
        boxed = np.unique(np.concatenate([stand_in for stand_in, _ in self._aliases] or [np.zeros(0, dtype=np.uint64)]))
        for shape in [shape for shape in self._types.shapes.values() if shape.is_machine]:
            addresses = self._instances.of(shape.type.method_table)
            states = self._read_states(shape, addresses)
            chosen = (states >= 0) & ~np.isin(addresses, boxed)
            waiting = self._note(shape, addresses[chosen], states[chosen])
            self._aliases += [(self._image.gather_u64(waiting + np.uint64(offset))[0], waiting) for offset in shape.builder]

    def _note(self, shape: NodeShape, addresses: Addresses, states: NDArray[np.int32]) -> Addresses:
        room = MAXIMUM_NODES - sum(len(part) for part, _, _ in self._parts)
        self.cut += max(0, len(addresses) - room)
        self._parts.append((addresses[:room], shape, states[:room]))
        return addresses[:room]

    def _read_states(self, shape: NodeShape, addresses: Addresses) -> NDArray[np.int32]:
        """The state of each; UNKNOWN where its field is not known or not in the dump."""
        if shape.state_offset is None:
            return np.full(len(addresses), UNKNOWN, dtype=np.int32)
        starts = addresses + np.uint64(shape.machine_offset)
        if shape.machine_is_object:
            starts = self._image.gather_u64(starts)[0] + np.uint64(STARTS)
        states, present = self._image.gather_u32(starts + np.uint64(shape.state_offset))
        return np.where(present, states.view(np.int32), np.int32(UNKNOWN))

    def _runtime_suspended(self) -> list[tuple[Addresses, Addresses]]:
        """(outer, inner) of chains of methods that the runtime suspended: from a thunk to the innermost, then by who goes on after each."""
        shape = next((shape for shape in self._types.shapes.values() if shape.kind == "suspended"), None)
        links: list[tuple[Addresses, Addresses]] = []
        thunks = [(part, shape.next_offset) for part, shape, _ in self._parts if shape.kind == "thunk" and shape.next_offset is not None]
        if shape is None or shape.next_offset is None or shape.resume_offset is None or not thunks:
            return links
        seen = np.zeros(0, dtype=np.uint64)
        top = np.concatenate([part for part, _ in thunks])
        at = np.concatenate([self._image.gather_u64(part + np.uint64(offset))[0] for part, offset in thunks])
        inner = np.zeros(len(top), dtype=np.uint64)
        for _ in range(DEEPEST):
            tables, present = self._image.gather_u64(at)
            going = present & (at != 0) & ((tables & self._mask) == np.uint64(shape.type.method_table)) & ~np.isin(at, seen)
            if not going.any():
                break
            seen = np.union1d(seen, at[going])
            resumed = np.zeros(len(at), dtype=bool)
            resumed[going] = (
                self._image.gather_u64(at[going] + np.uint64(shape.resume_offset))[0] != 0
            )  # the last one only takes the result
            self._note(shape, at[resumed], self._read_states(shape, at[resumed]))
            first = resumed & (inner == 0)
            self.thunks.update(zip(at[first].tolist(), top[first].tolist(), strict=True))
            links.append((at[resumed & (inner != 0)], inner[resumed & (inner != 0)]))
            inner = np.where(resumed, at, inner)
            following = self._image.gather_u64(at + np.uint64(shape.next_offset))[0]
            at = np.where(going, following, np.uint64(0))
        links.append((top[inner != 0], inner[inner != 0]))
        return links

    def _number(self) -> None:
        """Number all that wait, by address within each type."""
        self._add_loops()
        self._shapes = [shape for _, shape, _ in self._parts]
        self.addresses = np.concatenate([part for part, _, _ in self._parts] or [np.zeros(0, dtype=np.uint64)])
        self.states = np.concatenate([states for _, _, states in self._parts] or [np.zeros(0, dtype=np.int32)])
        self.shape_numbers = np.repeat(np.arange(len(self._parts)), [len(part) for part, _, _ in self._parts])
        self._count = len(self.addresses)
        keys = np.concatenate([self.addresses, *(stand_in for stand_in, _ in self._aliases)])
        nodes = np.concatenate([self.addresses, *(waiting for _, waiting in self._aliases)])
        numbers = np.argsort(self.addresses, kind="stable")
        found = numbers[np.searchsorted(self.addresses, nodes, sorter=numbers)] if self._count else np.zeros(0, dtype=np.int64)
        self._known, first = np.unique(keys, return_index=True)
        self._known_numbers = found[first]

    def _add_loops(self) -> None:
        """Promises of Parallel.ForEachAsync, which know nothing of the methods that work for them: these know it."""
        self._loops: list[tuple[int, Addresses]] = []
        for shape, states, task_offset in self._types.loops(self._instances):
            promises = self._image.gather_u64(states + np.uint64(task_offset))[0]
            self._parts.append((promises, shape, np.full(len(promises), UNKNOWN, dtype=np.int32)))
            for state, promise in zip(states.tolist(), promises.tolist(), strict=True):
                index = self._session.table.index_of(state)
                holders = self._session.graph.referrers(index) if index is not None else np.zeros(0, dtype=np.uint32)
                self._loops.append((promise, self._session.table.addresses_of(holders)))

    def numbers_of(self, addresses: Addresses) -> Numbers:
        """The nodes that the objects are or stand for; -1 for none."""
        if not len(self._known):
            return np.full(len(addresses), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self._known, addresses), len(self._known) - 1)
        return np.where((self._known[at] == addresses) & (addresses != 0), self._known_numbers[at], -1)

    def _link(self) -> None:
        """Fill `sources` and `targets`; number what stands at the bottom."""
        pairs = [*self._direct(), *((self.numbers_of(outer), inner) for outer, inner in self._suspended)]
        for promise, holders in self._loops:
            workers = np.unique(self.numbers_of(holders))
            workers = workers[workers >= 0]
            pairs.append((np.repeat(self.numbers_of(np.array([promise], dtype=np.uint64)), len(workers)), self.addresses[workers]))
        linked = np.zeros(self._count, dtype=bool)
        linked[np.concatenate([sources for sources, _ in pairs] or [np.zeros(0, dtype=np.int64)])] = True
        pairs += self._by_continuation(linked)
        sources = np.concatenate([one for one, _ in pairs] or [np.zeros(0, dtype=np.int64)])
        awaited = np.concatenate([one for _, one in pairs] or [np.zeros(0, dtype=np.uint64)])
        self.awaited_counts = np.bincount(sources, minlength=self._count)  # Task.WhenAll of one task twice waits for it twice
        targets = self.numbers_of(awaited)
        blocked = np.array(list(self.blocking), dtype=np.uint64)
        blocked = blocked[self.numbers_of(blocked) < 0]
        bottoms = np.unique(np.concatenate([awaited[targets < 0], blocked]))
        targets = np.where(targets < 0, self._count + np.searchsorted(bottoms, awaited), targets)
        self.addresses = np.concatenate([self.addresses, bottoms])
        total = max(1, len(self.addresses))
        _, first = np.unique(sources * total + targets, return_index=True)
        first.sort()
        self.sources, self.targets = sources[first], targets[first]

    def _direct(self) -> Iterator[tuple[Numbers, Addresses]]:
        """Links that lie in the waiting object itself: the awaiter that is set, the task that a continuation follows."""
        start = 0
        for part, shape, states in self._parts:
            numbers = np.arange(start, start + len(part))
            start += len(part)
            if not shape.awaited:
                continue
            if shape.kind == "method" and shape.state_offset is not None:  # at a yield, or while it runs, an awaiter means nothing
                numbers, part = numbers[(states >= 0) | (states == UNKNOWN)], part[(states >= 0) | (states == UNKNOWN)]
            bases = self._image.gather_u64(part + np.uint64(shape.machine_offset))[0] if shape.machine_is_object else part
            found = np.zeros(len(part), dtype=np.uint64)
            for offset in shape.awaited:
                values, present = self._image.gather_u64(bases + np.uint64(offset))
                found = np.where((found == 0) & present, values, found)
            yield numbers[found != 0], found[found != 0]

    def _by_continuation(self, linked: NDArray[np.bool_]) -> list[tuple[Numbers, Addresses]]:
        """Links that lie in what is waited for: a task that ends tells whatever is in its `m_continuationObject`."""
        pairs: list[tuple[Numbers, Addresses]] = []
        for place, tasks, flags in self.task_flags():
            continuations = self._image.gather_u64(tasks + np.uint64(place.continuation_offset))[0]
            waited = ((flags & COMPLETED) == 0) & (continuations != 0)
            tasks, continuations = tasks[waited], continuations[waited]
            tables = self._image.gather_u64(continuations)[0] & self._mask
            for table in np.unique(tables).tolist():
                name = self._types.name(table)
                those = tables == np.uint64(table)
                if name == LIST_OF_CONTINUATIONS:
                    for task, listed in zip(tasks[those].tolist(), continuations[those].tolist(), strict=True):
                        pairs += self._told(np.uint64(task), self._listed(listed), linked)
                elif name in WAITING_THREADS:
                    for task, event in zip(tasks[those].tolist(), continuations[those].tolist(), strict=True):
                        self.blocking.setdefault(task, []).append(event)
                else:
                    pairs.append(self._to_nodes(tasks[those], continuations[those], linked))
        return pairs

    def _told(self, task: np.uint64, listed: Addresses, linked: NDArray[np.bool_]) -> Iterator[tuple[Numbers, Addresses]]:
        """Links from each in a list of continuations to the task that has it."""
        yield self._to_nodes(np.full(len(listed), task, dtype=np.uint64), listed, linked)
        tables = self._image.gather_u64(listed)[0] & self._mask
        for table in np.unique(tables).tolist():
            if self._types.name(table) in WAITING_THREADS:
                self.blocking.setdefault(int(task), []).extend(listed[tables == np.uint64(table)].tolist())

    def _to_nodes(self, tasks: Addresses, told: Addresses, linked: NDArray[np.bool_]) -> tuple[Numbers, Addresses]:
        """Links from nodes that are told of the ends of tasks: those that do not say themselves what they wait for, or wait for several."""
        numbers = self.numbers_of(told)
        tasks, numbers = tasks[numbers >= 0], numbers[numbers >= 0]
        several = np.array([shape.kind in SEVERAL for shape in self._shapes], dtype=bool)
        naming = np.array([shape.kind in NAMING for shape in self._shapes], dtype=bool)
        kinds = self.shape_numbers[numbers]
        taken = several[kinds] | (~naming[kinds] & ~linked[numbers]) if len(numbers) else np.zeros(0, dtype=bool)
        linked[numbers[taken]] = True
        return numbers[taken], tasks[taken]

    def _listed(self, address: int) -> Addresses:
        """The continuations in the list that several make."""
        memory = self._session.core.memory
        try:
            fields = fields_by_name(self._session.types.type(memory.pointer(address) & int(self._mask)))
            items, size = fields["_items"].offset, fields["_size"].offset
            if items is None or size is None:
                return np.zeros(0, dtype=np.uint64)
            array = memory.pointer(address + STARTS + items)
            count = min(memory.u32(address + STARTS + size), memory.u32(array + STARTS), LIST_LIMIT)
        except (Unreadable, Malformed, KeyError):
            return np.zeros(0, dtype=np.uint64)  # who else is told of its end is not in the dump: those show no link
        slots = np.arange(count, dtype=np.uint64) * np.uint64(8) + np.uint64(array + 2 * STARTS)
        found, _ = self._image.gather_u64(slots)
        return np.extract(found != 0, found)
