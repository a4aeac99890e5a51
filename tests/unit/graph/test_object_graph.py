"""The face of the graph on a small heap: who owns what, paths with exact roots first."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from heaphound._core import Graph
from heaphound.graph.object_graph import ObjectGraph


class Table:
    """Stands in for the walked objects where only their number and sizes count."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.method_tables = np.array([0x1000, 0x2000], dtype=np.uint64)

    def __len__(self) -> int:
        return self._count

    def sizes_of(self, indices: NDArray[np.uint32]) -> NDArray[np.uint64]:
        return np.full(len(indices), 8, dtype=np.uint64)


def graph(edges: list[tuple[int, int]], exact: list[int], conservative: list[int], count: int = 6) -> ObjectGraph:
    sources, targets = (np.array([edge[side] for edge in edges], dtype=np.uint32) for side in (0, 1))
    made = Graph.from_edges(count, sources, targets)
    found = ObjectGraph(Table(count), made, np.array(exact, dtype=np.uint32), np.array(conservative, dtype=np.uint32))  # type: ignore[arg-type]
    sizes = np.full(count, 8, dtype=np.uint64)
    found.dominators = made.dominators_of_sizes(sizes, found.exact_roots, found.conservative_roots)
    return found


def test_owner_chain_and_retained_bytes() -> None:
    found = graph([(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)], [0], [])
    assert found.retained_bytes(1) == 32
    assert found.retained_count(1) == 4
    assert found.dominator_of(4) == 1
    assert found.chain(4, 10) == [1, 0]
    assert found.dominator_of(0) is None
    assert not found.is_reachable(5)
    assert found.owned(None, 10) == [0]
    assert found.owned_count(1) == 3


def test_what_refers_to_nothing_else_retains_itself_without_a_tree() -> None:
    """A string (2), and a delegate that is its own target (3); 5 is reached by nothing."""
    found = graph([(0, 1), (1, 2), (1, 3), (3, 3)], [0], [])
    assert [found.retained_bytes(index, reached=True) for index in (1, 2, 3)] == [24, 8, 8]
    assert found.retained_bytes(5) == 0
    del found.__dict__["dominators"]
    assert [found.retained_bytes(index, reached=True) for index in (2, 3)] == [8, 8]
    assert "dominators" not in found.__dict__


def test_a_conservative_root_takes_nothing_from_an_exact_one() -> None:
    """A stale word points at 2, which 1 alone keeps alive as far as exact roots say."""
    found = graph([(0, 1), (1, 2), (2, 3)], [0], [2, 5])
    assert found.retained_bytes(1) == 24
    assert found.dominator_of(2) == 1
    assert found.is_reachable(5)


def test_paths_from_exact_roots_come_first() -> None:
    found = graph([(0, 1), (1, 2), (4, 2)], [0], [4])
    paths = found.paths_to(2, 10)
    assert paths.paths == ((0, 1, 2), (4, 2))
    assert paths.complete
    assert not found.paths_to(2, 1).complete


def test_nothing_holds_it() -> None:
    paths = graph([(0, 1)], [0], []).paths_to(5, 3)
    assert paths.paths == ()
    assert paths.complete


def test_referrers_count_once_each() -> None:
    assert graph([(0, 1), (0, 1), (2, 1)], [0], []).referrers(1).tolist() == [0, 2]


def test_type_index() -> None:
    found = graph([], [0], [])
    assert found.type_index(0x2000) == 1
    with pytest.raises(KeyError):
        found.type_index(0x3000)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_retained_together_counts_once(seed: int) -> None:
    """Of a tree, in part unreachable, in which long ways are as likely as short ones: against a walk up from each object alone."""
    chance = random.Random(seed)
    count = 200
    edges = [(chance.choice([number - 1, chance.randrange(number)]), number) for number in range(1, count) if chance.random() < 0.98]
    found = graph(edges, [0], [], count)
    chosen = chance.sample(range(count), chance.randrange(1, 60))
    outermost = [one for one in chosen if found.is_reachable(one) and not set(found.chain(one, count)) & set(chosen)]
    expected = sum(found.retained_bytes(one) for one in outermost)
    assert found.retained_together(np.array([*chosen, *chosen[:3]], dtype=np.uint32)) == expected


def test_leaves_of_a_long_list_are_retained_together() -> None:
    """Each element of a list of 5,000 has a leaf: none lies within 1,000 dominators of the list's head, and all count."""
    length = 5000
    edges = [(number, number + 1) for number in range(length - 1)] + [(number, length + number) for number in range(length)]
    found = graph(edges, [0], [], 2 * length)
    assert found.retained_together(np.arange(length, 2 * length, dtype=np.uint32)) == 8 * length
