"""`tasks`: async methods that have started and not finished, as logical stacks, alike ones together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.answers.async_bottoms import Bottoms
from heaphound.answers.async_chains import Chains, Edges, Group
from heaphound.answers.async_frames import Frames
from heaphound.answers.async_links import AsyncLinks
from heaphound.answers.async_states import TaskStates
from heaphound.answers.async_threads import AsyncThreads
from heaphound.answers.async_waits import Waits
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.naming import Naming
from heaphound.errors import UsageError
from heaphound.results.answer import Answer
from heaphound.results.tasks import AsyncStackRow, AsyncThreadRow, TasksResult
from heaphound.session import Session

RUNNING = -1
FRAMES_LISTED = 1000
NO_OBJECT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Choice:
    """Which stacks are asked for: those with a method or type whose name contains `text`, those through the object at `address`.

    With `variables` frames have arguments and locals, with `strings` the contents of strings too.
    """

    text: str | None = None
    address: int | None = None
    variables: bool = False
    strings: bool = False


ALL = Choice()


def tasks(session: Session, limit: int | None = None, chosen: Choice = ALL) -> Answer[TasksResult]:
    """Logical stacks of all async methods that wait, or of those that are chosen; at most `limit` different ones. O(tasks)."""
    coverage = heap_coverage(session)
    if coverage.without_heap:
        return Answer(dump_facts(session), coverage, TasksResult((), None, None))
    search = _Search(session, chosen)
    groups = search.groups()
    states = TaskStates(session, search.links, search.naming)
    result = TasksResult(
        stacks=tuple(search.row(group) for group in groups[:limit]),
        waiting=search.links.waiting(),
        finished=search.links.finished,
        left_out=len(groups) - len(groups[:limit]),
        cut=search.links.cut + search.chains.cut,
        counts=states.counts(),
        faults=states.faults(),
    )
    return Answer(dump_facts(session), coverage, result)


class _Search:
    def __init__(self, session: Session, chosen: Choice) -> None:
        self._session = session
        self._chosen = chosen
        self.naming = Naming(session)
        waits = Waits(session, self.naming)
        self._threads = AsyncThreads(session)
        self.links = AsyncLinks(session)
        objects = session.objects if chosen.strings else session.objects_without_texts
        self._frames = Frames(session, self.links, waits, objects.values if chosen.variables else None)
        self._bottoms = Bottoms(session, self.links, waits)
        self._through: int | None = None
        self.chains = Chains(self._keys(), Edges(len(self.links.addresses), self.links.sources, self.links.targets))

    def _keys(self) -> NDArray[np.int64]:
        """A number for each node: the same for methods at the same await, and for what is at the bottom if it is told alike."""
        links = self.links
        own = links.shape_numbers * (1 << 32) + links.states.astype(np.int64) + (1 << 31)
        kinds, at = np.unique(own, return_inverse=True)
        return np.concatenate([at, len(kinds) + self._bottoms.kinds()])

    def groups(self) -> list[Group]:
        """The groups of stacks that were asked for."""
        groups = [group for group in self.chains.groups() if not self._is_used_up(group)]
        if self._chosen.address is not None:
            self._through = self.links.node_of(self._chosen.address)
            if self._through is None:
                raise UsageError(f"nothing that waits, and nothing that is awaited, is at {self._chosen.address:#x}")
            groups = [group for group in groups if self._through in self.chains.example(group, self._through)]
        if self._chosen.text is not None:
            groups = [group for group in groups if self._has_text(group, self._chosen.text.lower())]
        return groups

    def _is_used_up(self, group: Group) -> bool:
        """Whether it is only the enumerable of a Task.WhenEach, which nothing says to have ended, and which nobody asks for more."""
        top = int(group.tops[0][0])
        return self.chains.is_alone(group) and top < self.links.count and self.links.shape(top).kind == "each"

    def _has_text(self, group: Group, text: str) -> bool:
        nodes = self.chains.example(group)
        rows = [self._frames.row(node) for node in nodes if node < self.links.count]
        awaited = self.naming.type_of(self.links.address(nodes[0])) or ""
        return any(text in name.lower() for row in rows for name in (row.method, row.state_machine)) or text in awaited.lower()

    def row(self, group: Group) -> AsyncStackRow:
        """One group: the first chain stands for all."""
        links, example = self.links, self.chains.example(group, self._through)
        nodes = [node for node in example if node < links.count]
        bottom = example[0]
        found = self.chains.members(group)
        members, bottoms = (np.array(example), np.array([bottom])) if found is None else found
        running = self._threads.running(links.shape(bottom).state_machine, links.address(bottom)) if self._runs(bottom) else ()
        awaited = links.address(bottom) if bottom >= links.count else self._bottoms.awaited(bottom)
        closing = self.chains.closing.get(bottom)
        shown = self._frames.shown(nodes)
        return AsyncStackRow(
            count=group.count,
            frames=tuple(self._frames.row(node) for node in _ends(shown)),
            awaiting=None if awaited is None else self.naming.type_of(awaited),
            awaiting_address=None if awaited is None else Address(awaited),
            retained_bytes=None if found is None else self._retained(members[members < links.count]),
            waits_for=self._bottoms.words(bottom, awaited, runs=bool(running), closing=closing),
            running=running,
            blocked=self._blocked(members),
            outermost_count=sum(len(tops) for tops in group.tops),
            awaiting_count=len(bottoms) if awaited is not None or len(bottoms) > 1 else 0,
            frames_left_out=max(0, len(shown) - FRAMES_LISTED),
        )

    def _runs(self, bottom: int) -> bool:
        return bottom < self.links.count and self.links.shape(bottom).kind == "method" and self.links.state(bottom) == RUNNING

    def _retained(self, nodes: NDArray[np.int64]) -> int:
        """What all of these keep alive, together."""
        indices = self._session.table.indices_of(self.links.addresses[nodes])
        return self._session.graph.retained_together(indices[indices != NO_OBJECT])

    def _blocked(self, members: NDArray[np.int64]) -> tuple[AsyncThreadRow, ...]:
        addresses = set(self.links.addresses[members].tolist()) & self.links.blocking.keys() if self.links.blocking else set()
        return self._threads.blocked({event: task for task in sorted(addresses) for event in self.links.blocking[task]})


def _ends(nodes: list[int]) -> list[int]:
    """Of a long stack the innermost ones, and the outermost."""
    return nodes if len(nodes) <= FRAMES_LISTED else [*nodes[: FRAMES_LISTED - 1], nodes[-1]]
