"""Questions on objects, references and roots, all of them as indices: knows neither a dump nor .NET."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heaphound._core import Dominators, Graph, Heap
from heaphound.progress import Progress, silent

NO_OBJECT = 0xFFFFFFFF
VIRTUAL_ROOT = 0xFFFFFFFF
UNREACHABLE = 0xFFFFFFFE
HOPS = 20_000
NOBODY = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Paths:
    """Shortest paths, one for each root object that reaches the target, shortest first: root object first, target last.

    `complete` is False when more roots reach the target than were asked for, or the search was cut; never read an incomplete
    search without a path as "nothing holds it".
    """

    paths: tuple[tuple[int, ...], ...]
    complete: bool


class ObjectGraph:
    """The reference graph with its roots. Objects are indices of the walk, ascending by address.

    `exact_roots` and `conservative_roots` are object indices, duplicates allowed. Conservative ones never change what exact ones
    dominate: see docs/decisions.md.
    """

    def __init__(
        self,
        table: Heap,
        graph: Graph,
        exact_roots: NDArray[np.uint32],
        conservative_roots: NDArray[np.uint32],
        progress: Progress = silent,
    ) -> None:
        self.table = table
        self.graph = graph
        self.exact_roots = np.unique(exact_roots)
        self.conservative_roots = np.setdiff1d(conservative_roots, self.exact_roots)
        self._progress = progress

    @cached_property
    def dominators(self) -> Dominators:
        """The dominator tree below a virtual root above all roots; O(references), once."""
        return self.graph.dominators(self.table, self.exact_roots, last_resort=self.conservative_roots, progress=self._progress)

    def is_reachable(self, index: int) -> bool:
        """Whether any root reaches the object."""
        return int(self.dominators.immediate_of(index)) != UNREACHABLE

    def retained_bytes(self, index: int, *, reached: bool = False) -> int:
        """What would be freed if this one object became unreachable, in bytes, exact; 0 if no root reaches it.

        O(references) the first time, but where it is known that a root reaches the object (`reached`) and it refers to no other, as
        strings and arrays of numbers do: then it is its own size.
        """
        if reached and "dominators" not in self.__dict__ and (self.references(index) == index).all():
            return int(self.table.sizes_of(np.array([index], np.uint32))[0])
        return int(self.dominators.retained_of(index))

    def retained_count(self, index: int) -> int:
        """How many objects, itself included, would be freed with it."""
        return int(self.dominators.retained_count_of(index))

    def retained_together(self, indices: NDArray[np.uint32]) -> int:
        """Bytes that these objects alone keep alive, in sum; what one of them retains inside of another counts once.

        Exact but where the nearest of them above one lies more than HOPS dominators away, with nothing of the way shared with another:
        then both count. Cost: the dominators above them, each once; a linked list of a million timers is no trouble.
        """
        indices = np.unique(indices)
        return int(self.dominators.retained_of_many(indices[self._outermost(indices)]).sum())

    def _outermost(self, indices: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of different objects have none of the others above them. All walk up at once; who comes where another was stops there."""
        immediate = self.dominators.immediate
        member = np.zeros(len(self.table), dtype=bool)
        member[indices] = True
        passed = np.full(len(self.table), NOBODY, dtype=np.uint32)  # who came by here first
        outer = np.zeros(len(indices), dtype=bool)
        follows = np.arange(len(indices))  # whose way is the rest of one's own
        walkers, above = follows.copy(), immediate[indices]
        for _ in range(HOPS):
            outer[walkers[above == VIRTUAL_ROOT]] = True
            going = above < UNREACHABLE
            going[going] = ~member[above[going]]
            walkers, above = walkers[going], above[going]
            if not len(walkers):
                break
            places, first = np.unique(above, return_index=True)
            new = passed[places] == NOBODY
            passed[places[new]] = walkers[first[new]]
            follows[walkers] = passed[above]
            going = follows[walkers] == walkers
            walkers, above = walkers[going], immediate[above[going]]
        outer[walkers] = True
        while not np.array_equal(further := follows[follows], follows):
            follows = further
        return np.asarray(outer[follows])

    def owned_count(self, index: int | None) -> int:
        """How many objects this one (None: the virtual root) immediately dominates."""
        return int(self.dominators.child_count(index))

    def dominator_of(self, index: int) -> int | None:
        """The nearest object that alone keeps this one alive; None if a root does, several do, or nothing does."""
        above = int(self.dominators.immediate_of(index))
        return None if above in (VIRTUAL_ROOT, UNREACHABLE) else above

    def chain(self, index: int, limit: int) -> list[int]:
        """Dominators from the nearest to the outermost, at most `limit`."""
        found: list[int] = []
        above = self.dominator_of(index)
        while above is not None and len(found) < limit:
            found.append(above)
            above = self.dominator_of(above)
        return found

    def owned(self, index: int | None, limit: int) -> Sequence[int]:
        """Objects immediately dominated by this one (None: by the virtual root), the most retaining first, at most `limit`."""
        return [int(child) for child in self.dominators.children(index, limit)]

    def references(self, index: int) -> NDArray[np.uint32]:
        """Objects that this one refers to, with repetitions."""
        return self.graph.references(index)

    def referrers(self, index: int) -> NDArray[np.uint32]:
        """Objects that refer to this one, each once, ascending."""
        return np.unique(self.graph.referrers(index))

    def paths_to(self, target: int, maximum: int) -> Paths:
        """At most `maximum` shortest paths from different root objects; exact roots before conservative ones."""
        paths, complete = self.graph.shortest_paths(
            self.exact_roots, target, maximum, last_resort=self.conservative_roots, progress=self._progress
        )
        return Paths(tuple(tuple(path) for path in paths), complete)

    def path_between(self, source: int, target: int) -> tuple[int, ...]:
        """A shortest path of references from one object to another, both included; the two alone where none leads there."""
        if target in self.references(source):
            return (source, target)
        paths, _ = self.graph.shortest_paths(np.array([source], np.uint32), target, 1, progress=self._progress)
        return tuple(paths[0]) if paths else (source, target)

    def type_index(self, method_table: int) -> int:
        """Type index of a method table of the heap. KeyError for one that no object has."""
        at = int(np.searchsorted(self.table.method_tables, np.uint64(method_table)))
        if at == len(self.table.method_tables) or int(self.table.method_tables[at]) != method_table:
            raise KeyError(method_table)
        return at
