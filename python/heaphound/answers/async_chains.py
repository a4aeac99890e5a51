"""Groups what waits for each other into chains that are alike. Knows numbers only: nodes, what each awaits, and a key for each.

A node's label stands for its key and the labels of all that it awaits, so that nodes with one label stand at the outer end of the same
chains: a million waiting calls have a handful of labels. Circles, whose members would wait for each other's labels, are cut at one member.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MAXIMUM_WAYS = 1000
"""Different chains below one node that are told apart; the rarest beyond are counted as cut."""
MAXIMUM_CIRCLES = 10_000
"""Circles that are cut one by one; what is in a circle beyond them stands alone and is counted as cut."""
NARROW = 64
"""From this many nodes on arrays are faster than one at a time."""
DEEPEST = 1000
"""Nodes of a chain that are looked at when all members of a group are collected."""


class Edges:
    """What each of `count` nodes awaits, from pairs in any order; the order of one node's targets stays."""

    def __init__(self, count: int, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        order = np.argsort(sources, kind="stable")
        self.sources, self.targets = sources[order], targets[order]
        self.starts = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(np.bincount(sources, minlength=count), out=self.starts[1:])
        self.kept = np.ones(len(targets), dtype=bool)
        """False for those that were taken away."""

    def from_node(self, node: int) -> NDArray[np.int64]:
        """The targets of one node."""
        part = slice(int(self.starts[node]), int(self.starts[node + 1]))
        return self.targets[part][self.kept[part]]

    def from_nodes(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The targets of many nodes."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        first = np.repeat(self.starts[nodes] - np.cumsum(counts) + counts, counts)
        edges = first + np.arange(int(counts.sum()))
        return self.targets[edges[self.kept[edges]]]

    def take_away(self, source: int, target: int) -> None:
        """Remove the edges from one node to another."""
        part = slice(int(self.starts[source]), int(self.starts[source + 1]))
        self.kept[part] &= self.targets[part] != target


@dataclass(slots=True)
class Group:
    """Chains that are alike: `chain` leads from the outermost inwards, `tops` are the different outermost nodes."""

    chain: int
    count: int = 0
    tops: list[NDArray[np.int64]] = field(default_factory=list)


class Chains:
    """The chains of a graph of `keys` (what a node must have in common with another to be alike) and edges."""

    def __init__(self, keys: NDArray[np.int64], edges: Edges) -> None:
        """`keys` are counted from 0, edges are told once each, and are cut where they close a circle. O(nodes + edges)."""
        self._keys = keys
        self._edges = edges
        self._labels = np.full(len(keys), -1, dtype=np.int64)
        self._label_numbers: dict[tuple[int, object], int] = {}
        self._chain_numbers: dict[tuple[int, int], int] = {}
        self._links: list[tuple[int, int]] = []
        """Of each chain: the key of its outermost node, and the chain that this one awaits, -1 for none."""
        self._ways: list[dict[int, int]] = []
        """Of each label: chain → how many ways it leads down."""
        self._labels_of_chain: dict[int, list[int]] = {}
        self.closing: dict[int, int] = {}
        """Of circles: the member at which it was cut → the member that it waits for, which waits for it."""
        self.cut = 0
        """Ways that were not told apart."""
        self._label_all()

    def groups(self) -> list[Group]:
        """All chains from nodes that none awaits, or that close a circle, the most frequent first."""
        found: dict[int, Group] = {}
        awaited = np.zeros(len(self._keys), dtype=bool)
        awaited[self._edges.targets[self._edges.kept]] = True
        tops = np.flatnonzero(~awaited)
        labels = self._labels[tops]
        order = np.argsort(labels, kind="stable")
        tops, labels = tops[order], labels[order]
        for part in np.split(tops, np.flatnonzero(np.diff(labels)) + 1) if len(tops) else ():
            for chain, ways in self._ways[int(self._labels[part[0]])].items():
                group = found.setdefault(chain, Group(chain))
                group.count += ways * len(part)
                group.tops.append(part)
        return sorted(found.values(), key=lambda group: (-group.count, min(int(tops[0]) for tops in group.tops)))

    def is_alone(self, group: Group) -> bool:
        """Whether the chains have one node each."""
        return self._links[group.chain][1] < 0

    def example(self, group: Group, through: int | None = None) -> list[int]:
        """The nodes of the first chain of a group, the innermost first; of one that leads through a node, if there is one."""
        found, chain = self._outer(group, through) or ([min(int(tops.min()) for tops in group.tops)], group.chain)
        node, chain = found[-1], self._links[chain][1]
        while chain >= 0:
            node = next(int(one) for one in self._edges.from_node(node) if chain in self._ways[int(self._labels[one])])
            found.append(node)
            chain = self._links[chain][1]
        return found[::-1]

    def _outer(self, group: Group, through: int | None) -> tuple[list[int], int] | None:
        """(nodes from the outermost to `through`, the chain that begins there); None where no chain of the group leads there."""
        levels = self._levels(group) if through is not None else None
        at = next((at for at, level in enumerate(levels) if through in level), None) if levels is not None else None
        if through is None or levels is None or at is None:
            return None
        found, chain = [through], group.chain
        for level in levels[at - 1 :: -1] if at else ():
            found.append(next(int(one) for one in level if found[-1] in self._edges.from_node(int(one))))
        for _ in range(at):
            chain = self._links[chain][1]
        return found[::-1], chain

    def members(self, group: Group) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """(all nodes, the innermost ones) of all chains of a group, each once; None for chains that are too long for that."""
        levels = self._levels(group)
        return None if levels is None else (np.unique(np.concatenate(levels)), levels[-1])

    def _levels(self, group: Group) -> list[NDArray[np.int64]] | None:
        """The nodes of all chains of a group by how far in they stand; None for chains that are too long for that."""
        front = np.unique(np.concatenate(group.tops))
        parts, chain = [front], self._links[group.chain][1]
        while chain >= 0:
            if len(parts) > DEEPEST:
                return None
            targets = self._edges.from_nodes(front)
            front = np.unique(targets[np.isin(self._labels[targets], self._labels_of_chain[chain])])
            parts.append(front)
            chain = self._links[chain][1]
        return parts

    def _label_all(self) -> None:
        """Label nodes from those that await none outwards; where none is left that could be, cut a circle and go on."""
        edges, count = self._edges, len(self._keys)
        waiting = Edges(count, edges.targets, edges.sources)
        missing = np.diff(edges.starts)
        front: NDArray[np.int64] = np.flatnonzero(missing == 0)
        unlabelled = 0
        while True:
            while len(front):
                if len(front) < NARROW:
                    front = self._narrow(deque(front.tolist()), waiting, missing)
                    continue
                self._label_many(front)
                touched, times = np.unique(waiting.from_nodes(front), return_counts=True)
                missing[touched] -= times
                front = touched[(missing[touched] == 0) & (self._labels[touched] < 0)]
            while unlabelled < count and self._labels[unlabelled] >= 0:
                unlabelled += 1
            if unlabelled == count:
                return
            front = self._cut(unlabelled, missing)

    def _cut(self, unlabelled: int, missing: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cut a circle; the nodes that can be labelled then."""
        if len(self.closing) >= MAXIMUM_CIRCLES:
            left = self._labels < 0
            self._edges.kept &= ~(left[self._edges.sources] & left[self._edges.targets])
            self.cut += int(left.sum())
            missing[left] = 0
            self.closing.update(dict.fromkeys(np.flatnonzero(left).tolist(), -1))
            return np.flatnonzero(left)
        node = self._close_circle(unlabelled)
        missing[node] -= 1
        return np.array([node] if missing[node] == 0 else [], dtype=np.int64)

    def _narrow(self, front: deque[int], waiting: Edges, missing: NDArray[np.int64]) -> NDArray[np.int64]:
        """Label one node after the other, until none is left or so many that arrays are faster."""
        while front and len(front) < NARROW:
            node = front.popleft()
            self._label_one(node)
            for above in waiting.from_node(node).tolist():
                missing[above] -= 1
                if missing[above] == 0:
                    front.append(above)
        return np.array(front, dtype=np.int64)

    def _close_circle(self, node: int) -> int:
        """The last member of a circle that `node` waits for, after `closing` says so: it follows who is not labelled yet."""
        seen: set[int] = set()
        while True:
            seen.add(node)
            following = next(int(one) for one in self._edges.from_node(node) if self._labels[one] < 0)
            if following in seen:
                self.closing[node] = following
                self._edges.take_away(node, following)
                return node
            node = following

    def _label_many(self, nodes: NDArray[np.int64]) -> None:
        """Label nodes of which all that they await is labelled; those that await one by arrays."""
        counts = self._edges.starts[nodes + 1] - self._edges.starts[nodes]
        alone = (counts > 1) | np.isin(nodes, np.array(list(self.closing), dtype=np.int64))
        plain, one = nodes[~alone], counts[~alone] == 1
        inner = np.full(len(plain), -1, dtype=np.int64)
        inner[one] = self._labels[self._edges.targets[self._edges.starts[plain[one]]]]
        _, first, at = np.unique(self._keys[plain] * len(self._keys) + inner + 1, return_index=True, return_inverse=True)
        pairs = zip(self._keys[plain[first]].tolist(), inner[first].tolist(), strict=True)
        numbers = [self._label(key, () if label < 0 else ((label, 1),)) for key, label in pairs]
        self._labels[plain] = np.array(numbers, dtype=np.int64)[at]
        for node in nodes[alone].tolist():
            self._label_one(node)

    def _label_one(self, node: int) -> None:
        below = Counter(self._labels[self._edges.from_node(node)].tolist())
        key = int(self._keys[node])
        self._labels[node] = self._label(key if node not in self.closing else ~key, tuple(sorted(below.items())))

    def _label(self, key: int, below: tuple[tuple[int, int], ...]) -> int:
        """The number of a label; a new one has its ways written."""
        known = self._label_numbers.get((key, below))
        if known is not None:
            return known
        number = self._label_numbers[key, below] = len(self._ways)
        ways: dict[int, int] = {}
        for label, times in below:
            for chain, count in self._ways[label].items():
                outer = self._chain(key, chain)
                ways[outer] = ways.get(outer, 0) + times * count
        if not below:
            ways = {self._chain(key, -1): 1}
        if len(ways) > MAXIMUM_WAYS:
            kept = sorted(ways.items(), key=lambda entry: -entry[1])
            self.cut += sum(count for _, count in kept[MAXIMUM_WAYS:])
            ways = dict(kept[:MAXIMUM_WAYS])
        self._ways.append(ways)
        for chain in ways:
            self._labels_of_chain.setdefault(chain, []).append(number)
        return number

    def _chain(self, key: int, inner: int) -> int:
        number = self._chain_numbers.setdefault((key, inner), len(self._links))
        if number == len(self._links):
            self._links.append((key, inner))
        return number
