"""`tasks`: async methods that have started and not finished, as logical stacks, alike ones together."""

from collections.abc import Iterator

import numpy as np

from heaphound.address import Address
from heaphound.answers.async_links import AsyncLinks, Node
from heaphound.answers.async_places import Place, Places
from heaphound.answers.async_threads import AsyncThreads
from heaphound.answers.async_waits import Waits
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError
from heaphound.results.answer import Answer
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, TasksResult
from heaphound.session import Session

MAXIMUM_STACKS = 1_000_000
DEEPEST = 1000
RUNNING, AT_YIELD = -1, -3  # and below: an async iterator stands at a yield
REFERRERS_LOOKED_AT = 8
AWAITED_HOPS = 4
METHODS = ("method", "suspended")
COMBINATORS = {
    "all": "Task.WhenAll",
    "any": "Task.WhenAny",
    "unwrap": "Task.Unwrap",
    "timeout": "Task.WaitAsync",
    "task": "ValueTask.AsTask",
    "thunk": "the task of a method that the runtime runs",
}
Chain = tuple[int, ...]
Kind = tuple[tuple[int, int | None], ...]


def tasks(session: Session, limit: int | None = None) -> Answer[TasksResult]:
    """Logical stacks of all async methods that wait; at most `limit` different ones. O(tasks)."""
    search = _Search(session)
    stacks = search.stacks()
    rows = [search.row(chains) for chains in sorted(stacks.values(), key=lambda chains: (-len(chains), chains[0][0]))[:limit]]
    result = TasksResult(
        stacks=tuple(rows),
        waiting=sum(node.shape.kind in METHODS for node in search.links.nodes.values()),
        finished=search.links.finished,
        left_out=len(stacks) - len(rows),
        cut=search.links.cut + search.cut,
    )
    return Answer(dump_facts(session), heap_coverage(session), result)


class _Search:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._naming = Naming(session)
        self._places = Places(session)
        self._waits = Waits(session, self._naming)
        self._threads = AsyncThreads(session)
        self.links = AsyncLinks(session)
        self.cut = 0

    def stacks(self) -> dict[Kind, list[Chain]]:
        """Chains of addresses, innermost first, grouped by what they are made of; the innermost may be no node but what a node awaits."""
        nodes, awaited = self.links.nodes, self.links.awaited
        inner = {target for address in nodes for target in awaited.get(address, ())}
        groups: dict[Kind, list[Chain]] = {}
        count = 0
        for top in nodes:
            if top in inner:
                continue
            for chain in self._chains(top):
                count += 1
                if count > MAXIMUM_STACKS:
                    self.cut += 1
                    break
                groups.setdefault(self._kind(chain), []).append(chain)
        for chains in groups.values():
            chains.sort()
        return groups

    def _chains(self, top: int) -> Iterator[Chain]:
        """Each way from one that nobody awaits to a bottom, as addresses, bottom first."""
        nodes, awaited = self.links.nodes, self.links.awaited
        path: list[int] = []
        pending: list[tuple[int, int]] = [(top, 0)]
        while pending:
            address, depth = pending.pop()
            del path[depth:]
            path.append(address)
            following = [target for target in awaited.get(address, ()) if target not in path] if address in nodes else []
            if not following or depth >= DEEPEST:
                yield tuple(reversed(path))
            pending.extend((target, depth + 1) for target in reversed(following))

    def _kind(self, chain: Chain) -> Kind:
        nodes = self.links.nodes
        return tuple((nodes[one].shape.type.method_table, nodes[one].state) if one in nodes else (self._table(one), None) for one in chain)

    def _table(self, address: int) -> int:
        index = self._session.table.index_of(address)
        return 0 if index is None else self._session.table.type_of(index)

    def row(self, chains: list[Chain]) -> AsyncStackRow:
        """One group: the first chain stands for all."""
        session, example = self._session, chains[0]
        nodes = self.links.nodes
        frames = tuple(address for address in example if address in nodes)
        bottom = nodes[frames[0]]
        awaited = example[0] if example[0] not in nodes else self._referring(frames[0], bottom)
        running = self._threads.with_object((frames[0],)) if bottom.state == RUNNING else ()
        tops = list(dict.fromkeys(chain[-1] for chain in chains))
        events = [event for top in tops for event in self.links.blocking.get(top, ())]
        outermost = session.table.indices_of(np.array(tops, dtype=np.uint64))
        return AsyncStackRow(
            count=len(chains),
            frames=tuple(self._frame(address) for address in _shown(frames, nodes)),
            awaiting=None if awaited is None else self._naming.type_of(awaited),
            awaiting_address=None if awaited is None else Address(awaited),
            retained_bytes=int(session.graph.dominators.retained_of_many(outermost).sum()),
            waits_for=self._words(frames[0], awaited, bool(running)),
            running=running,
            blocked=self._threads.with_object(events),
        )

    def _words(self, address: int, awaited: int | None, running: bool) -> str:
        bottom = self.links.nodes[address]
        if bottom.state is not None and bottom.state <= AT_YIELD:
            return "whoever asks the iterator for more"
        if running:
            return "nothing: it runs"
        if awaited is None:
            return "nothing that is known: it is queued to run, or nothing on the heap leads to what it waits for"
        if self.links.is_completed(awaited):
            queue = self._waits.queue_of(address)
            where = "queued to run" if queue is None else f"posted to {queue}, which has not run it"
            return f"its turn: what it awaited has ended, and it is {where}"
        return self._waits.words(awaited)

    def _frame(self, address: int) -> AsyncFrameRow:
        node = self.links.nodes[address]
        shape = node.shape
        if shape.kind == "suspended":
            return self._resumed(address, node)
        if shape.kind == "method":
            place = self._places.of(shape.state_machine, shape.state_machine_name)
            line = None if node.state is None or place.lines is None else place.lines.get(node.state)
            at = Address(address)
            return AsyncFrameRow(place.method, node.state, at, shape.state_machine_name, place.file, place.first_line, "method", line)
        name = COMBINATORS.get(shape.kind)
        return AsyncFrameRow(name or self._continuation(address, node), None, Address(address), shape.type.name, kind=shape.kind)

    def _resumed(self, address: int, node: Node) -> AsyncFrameRow:
        """A method that the runtime suspended, by the stub that goes on with it."""
        try:
            stub = self._session.core.memory.pointer(address + (node.shape.resume_offset or 0))
            place = self._places.resumed(stub)
        except HeaphoundError:
            place = Place("a method that is not known")
        at = Address(address)
        return AsyncFrameRow(place.method, node.state, at, node.shape.type.name, place.file, place.first_line, "suspended")

    def _continuation(self, address: int, node: Node) -> str:
        """The method that a continuation will run."""
        try:
            if node.shape.action_offset is not None:
                action = self._session.core.memory.pointer(address + node.shape.action_offset)
                if action:
                    return self._waits.method_of(action)
        except HeaphoundError:
            pass
        return "a continuation whose method is not known"

    def _referring(self, address: int, bottom: Node) -> int | None:
        """What a method waits for whose awaiter does not say: an object that has it as its continuation, directly or through wrappers."""
        session = self._session
        address = self.links.thunks.get(address, address)
        if bottom.shape.kind not in METHODS or bottom.state == RUNNING or (bottom.state is not None and bottom.state <= AT_YIELD):
            return None
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


def _shown(frames: tuple[int, ...], nodes: dict[int, Node]) -> tuple[int, ...]:
    """Without the tasks of methods that are shown themselves."""
    shown = tuple(address for address in frames if nodes[address].shape.kind != "thunk")
    return shown or frames
