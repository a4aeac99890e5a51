"""`tasks`: async methods that have started and not finished, as logical stacks, alike ones together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.answers.async_boxes import COMPLETED, BoxShape, Continuations, safe_shape
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.errors import Malformed, Unreadable
from heaphound.results.answer import Answer
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, TasksResult
from heaphound.runtime.metadata.display_names import display_method
from heaphound.runtime.types import Type
from heaphound.session import Session

MAXIMUM_BOXES = 1_000_000
DEEPEST = 1000
REFERRERS_LOOKED_AT = 8
AWAITED_HOPS = 4
ENDED, UNKNOWN = -2, -(1 << 31)  # AsyncIteratorMethodBuilder and the compiler: -1 running, -2 ended; no state is that low
Kind = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Box:
    """One waiting method: its type's shape, the await it stands at (None where metadata to find its field is missing)."""

    shape: BoxShape
    state: int | None


def tasks(session: Session, limit: int | None = None) -> Answer[TasksResult]:
    """Logical stacks of all async methods that wait; at most `limit` different ones. O(boxes)."""
    search = _Search(session)
    stacks = search.stacks()
    rows = [search.row(chains) for chains in sorted(stacks.values(), key=lambda chains: (-len(chains), chains[0][0]))[:limit]]
    result = TasksResult(
        stacks=tuple(rows),
        waiting=len(search.waiting),
        finished=search.finished,
        left_out=len(stacks) - len(rows),
        cut=search.cut,
    )
    return Answer(dump_facts(session), heap_coverage(session), result)


class _Search:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._naming = Naming(session)
        self._methods: dict[int, tuple[str, str | None, int | None]] = {}
        self.waiting: dict[int, Box] = {}
        self.finished = 0
        self.cut = 0
        shapes = ((int(table), safe_shape(session, int(table))) for table in session.table.method_tables)
        self._shapes = {table: shape for table, shape in shapes if shape is not None}
        for shape in self._shapes.values():
            self._read(shape)
        self._awaits = self._links()

    def _read(self, shape: BoxShape) -> None:
        """Fill `waiting` with the boxes of one type."""
        table, memory = self._session.table, self._session.core.memory
        indices = table.instances(self._session.graph.type_index(shape.type.method_table))
        room = MAXIMUM_BOXES - len(self.waiting)
        self.cut += max(0, len(indices) - room)
        addresses = table.addresses_of(indices[:room])
        states = self._states(shape, addresses)
        ended = states == ENDED
        if shape.flags_offset is not None:
            flags, present = memory.image.gather_u32(addresses + np.uint64(shape.flags_offset))
            ended |= present & ((flags & COMPLETED) != 0)
        self.finished += int(ended.sum())
        for address, state in zip(addresses[~ended].tolist(), states[~ended].tolist(), strict=True):
            self.waiting[address] = Box(shape, None if state == UNKNOWN else state)

    def _states(self, shape: BoxShape, addresses: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The state of each box; UNKNOWN where its field is not known or not in the dump."""
        image = self._session.core.memory.image
        if shape.state_offset is None:
            return np.full(len(addresses), UNKNOWN, dtype=np.int32)
        starts = addresses + np.uint64(shape.machine_offset)
        if shape.machine_is_object:
            starts = image.gather_u64(starts)[0] + np.uint64(8)
        states, present = image.gather_u32(starts + np.uint64(shape.state_offset))
        return np.where(present, states.view(np.int32), np.int32(UNKNOWN))

    def _links(self) -> dict[int, int]:
        """awaiting box → box that it awaits."""
        continuations, memory = Continuations(self._session, self._shapes), self._session.core.memory
        links: dict[int, int] = {}
        for address, box in self.waiting.items():
            if box.shape.continuation_offset is None:
                continue
            try:
                for outer in continuations.boxes(memory.pointer(address + box.shape.continuation_offset)):
                    links.setdefault(outer, address)
            except (Unreadable, Malformed):
                continue  # who awaits it is not in the dump: the stack ends here
        return links

    def stacks(self) -> dict[Kind, list[list[int]]]:
        """Chains of box addresses, innermost first, grouped by what runs in them and at which await."""
        outermost = set(self.waiting) - {inner for outer, inner in self._awaits.items() if outer in self.waiting}
        groups: dict[Kind, list[list[int]]] = {}
        for top in outermost:
            chain, at, seen = [top], self._awaits.get(top), {top}
            while at is not None and at not in seen and len(chain) < DEEPEST:
                seen.add(at)
                chain.append(at)
                at = self._awaits.get(at)
            chain.reverse()
            key = tuple((self.waiting[address].shape.type.method_table, self.waiting[address].state) for address in chain)
            groups.setdefault(key, []).append(chain)
        for chains in groups.values():
            chains.sort()
        return groups

    def row(self, chains: list[list[int]]) -> AsyncStackRow:
        """One group: the first chain stands for all."""
        session, example = self._session, chains[0]
        awaited = self._awaited(example[0])
        outermost = session.table.indices_of(np.array([chain[-1] for chain in chains], dtype=np.uint64))
        return AsyncStackRow(
            count=len(chains),
            frames=tuple(self._frame(address) for address in example),
            awaiting=None if awaited is None else self._naming.type_of(awaited),
            awaiting_address=None if awaited is None else Address(awaited),
            retained_bytes=int(session.graph.dominators.retained_of_many(outermost).sum()),
        )

    def _frame(self, address: int) -> AsyncFrameRow:
        box = self.waiting[address]
        machine = box.shape.state_machine
        key = box.shape.type.method_table
        if key not in self._methods:
            self._methods[key] = (box.shape.state_machine_name, None, None) if machine is None else self._method(machine)
        name, file, line = self._methods[key]
        return AsyncFrameRow(name, box.state, Address(address), box.shape.state_machine_name, file, line)

    def _method(self, machine: Type) -> tuple[str, str | None, int | None]:
        """Name, file and first line of the method behind a state machine."""
        module = machine.module
        if module is None or module.metadata is None or machine.row is None:
            return machine.name, None, None
        moves = [rid for rid in module.metadata.typedef(machine.row).methods if module.metadata.method_name(rid).endswith("MoveNext")]
        if not moves:
            return machine.name, None, None
        name = display_method(module.metadata, moves[0]).name
        pdb = None if module.pe is None else self._session.symbols.find(module.pe, module.path).pdb
        place = None if pdb is None else pdb.first_location(moves[0])
        return (
            name,
            None if place is None else place.file.replace("\\", "/").rpartition("/")[2],
            None if place is None else place.start_line,
        )

    def _awaited(self, address: int) -> int | None:
        """The object whose completion resumes a box: a task that has it as its continuation, directly or through wrappers."""
        session = self._session
        index = session.table.index_of(address)
        front = [] if index is None else [index]
        for _ in range(AWAITED_HOPS):
            following: list[int] = []
            for at in front:
                for referrer in session.graph.referrers(at)[:REFERRERS_LOOKED_AT].tolist():
                    holder, target = int(session.table.address_of(referrer)), int(session.table.address_of(at))
                    name = session.edge(holder, target).split(".")[0]
                    if name in ("m_continuationObject", "_valueTaskSource"):
                        return holder
                    if name in ("_target", "m_action", "_continuation", "_items") or name.startswith("["):
                        following.append(referrer)
            front = following
        return None
