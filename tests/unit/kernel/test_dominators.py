"""The dominator tree against a definition: x dominates y iff y cannot be reached without x."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heaphound._core import Dominators, Graph

VIRTUAL_ROOT = 0xFFFFFFFF
UNREACHABLE = 0xFFFFFFFE

Edges = list[tuple[int, int]]


def indices(values: list[int]) -> NDArray[np.uint32]:
    return np.array(values, dtype=np.uint32)


def make_graph(count: int, edges: Edges) -> Graph:
    return Graph.from_edges(count, indices([source for source, _ in edges]), indices([target for _, target in edges]))


def dominators(count: int, edges: Edges, roots: list[int], sizes: list[int] | None = None) -> Dominators:
    own = np.array(sizes if sizes is not None else [1] * count, dtype=np.uint64)
    return make_graph(count, edges).dominators_of_sizes(own, indices(roots))


def reachable_without(edges: Edges, roots: list[int], removed: int | None) -> set[int]:
    seen = {root for root in roots if root != removed}
    front = list(seen)
    while front:
        at = front.pop()
        for source, target in edges:
            if source == at and target != removed and target not in seen:
                seen.add(target)
                front.append(target)
    return seen


def dominated_by_definition(edges: Edges, roots: list[int]) -> dict[int, set[int]]:
    """For each reachable object all objects that it dominates, itself included."""
    everything = reachable_without(edges, roots, None)
    return {x: everything - reachable_without(edges, roots, x) for x in everything}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges, list[int], list[int]]:
    """Small graphs with loops, multi-edges, cycles and unreachable parts; sparse and dense ones."""
    count = draw(st.integers(1, 14))
    node = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=3 * count))
    roots = draw(st.lists(node, max_size=4))
    sizes = draw(st.lists(st.integers(0, 1 << 40), min_size=count, max_size=count))
    return count, edges, roots, sizes


@settings(max_examples=600, deadline=None)
@given(graphs())
def test_tree_agrees_with_the_definition(graph: tuple[int, Edges, list[int], list[int]]) -> None:
    count, edges, roots, sizes = graph
    result = dominators(count, edges, roots, sizes)
    expected = dominated_by_definition(edges, roots)
    assert result.reachable_count == len(expected)
    assert result.reachable_bytes == sum(sizes[x] for x in expected)
    for x in range(count):
        below = expected.get(x, set())
        assert set(result.dominated(x).tolist()) == below
        assert result.retained_of(x) == sum(sizes[y] for y in below)
        assert result.retained_count_of(x) == len(below)
        for y in range(count):
            assert result.dominates(x, y) == (y in below)
        strict = [d for d, of in expected.items() if x in of and d != x]
        if x not in expected:
            assert result.immediate_of(x) == UNREACHABLE
        elif not strict:
            assert result.immediate_of(x) == VIRTUAL_ROOT
        else:
            # The immediate one is the one that all other strict dominators dominate.
            assert result.immediate_of(x) == min(strict, key=lambda d: len(expected[d]))
    assert result.immediate.tolist() == [result.immediate_of(x) for x in range(count)]
    assert result.retained_bytes.tolist() == [result.retained_of(x) for x in range(count)]


@settings(max_examples=200, deadline=None)
@given(graphs(), st.integers(0, 5))
def test_children_come_by_retained_size(graph: tuple[int, Edges, list[int], list[int]], limit: int) -> None:
    count, edges, roots, sizes = graph
    result = dominators(count, edges, roots, sizes)
    for parent in [None, *range(count)]:
        mark = VIRTUAL_ROOT if parent is None else parent
        expected = [x for x in range(count) if result.immediate_of(x) == mark]
        expected.sort(key=lambda x: (-result.retained_of(x), x))
        assert result.children(parent, limit).tolist() == expected[:limit]
        assert result.children(parent).tolist() == expected
        assert result.child_count(parent) == len(expected)


def test_chain_ten_million_long() -> None:
    count = 10_000_000
    chain = np.arange(count, dtype=np.uint32)
    graph = Graph.from_edges(count, chain[:-1], chain[1:])
    result = graph.dominators_of_sizes(np.full(count, 8, dtype=np.uint64), indices([0]))
    assert result.retained_of(0) == 8 * count
    assert result.retained_of(count - 1) == 8
    assert result.immediate_of(count - 1) == count - 2


def test_chain_that_ends_in_elements_held_from_elsewhere() -> None:
    """The shape on which the semi-NCA algorithm is quadratic: 1M links to an array whose 1M elements a root holds too."""
    links = elements = 1_000_000
    array = links
    count = links + 1 + elements
    chain = np.arange(links + 1, dtype=np.uint32)
    items = np.arange(links + 1, count, dtype=np.uint32)
    other = np.full(elements, 0, dtype=np.uint32)
    sources = np.concatenate([chain[:-1], np.full(elements, array, dtype=np.uint32), other])
    targets = np.concatenate([chain[1:], items, items])
    result = Graph.from_edges(count, sources, targets).dominators_of_sizes(np.ones(count, dtype=np.uint64), indices([0]))
    assert result.immediate_of(count - 1) == 0
    assert result.retained_of(array) == 1


def test_fan_in_of_millions() -> None:
    """One array holds all; each element refers to one hub: the array dominates the hub."""
    elements = 5_000_000
    hub = elements + 1
    items = np.arange(1, elements + 1, dtype=np.uint32)
    sources = np.concatenate([np.zeros(elements, dtype=np.uint32), items])
    targets = np.concatenate([items, np.full(elements, hub, dtype=np.uint32)])
    graph = Graph.from_edges(elements + 2, sources, targets)
    result = graph.dominators_of_sizes(np.ones(elements + 2, dtype=np.uint64), indices([0]))
    assert result.immediate_of(hub) == 0
    assert result.retained_of(0) == elements + 2
    assert len(graph.referrers(hub)) == elements
    paths, complete = graph.shortest_paths(indices([0]), hub, 10)
    assert paths == [[0, 1, hub]]
    assert complete


def test_sizes_of_another_length_are_refused() -> None:
    graph = make_graph(2, [(0, 1)])
    with pytest.raises(ValueError, match="1 sizes for 2 objects"):
        graph.dominators_of_sizes(np.ones(1, dtype=np.uint64), indices([0]))
    with pytest.raises(ValueError, match="object index 2 is not below 2"):
        graph.dominators_of_sizes(np.ones(2, dtype=np.uint64), indices([2]))


@settings(max_examples=400, deadline=None)
@given(graphs(), st.lists(st.integers(0, 13), max_size=4))
def test_roots_of_last_resort_change_nothing_of_what_others_reach(graph: tuple[int, Edges, list[int], list[int]], spare: list[int]) -> None:
    count, edges, roots, sizes = graph
    last_resort = [root for root in spare if root < count]
    result = make_graph(count, edges).dominators_of_sizes(np.array(sizes, dtype=np.uint64), indices(roots), indices(last_resort))
    first = reachable_without(edges, roots, None)
    inside = [edge for edge in edges if edge[0] in first]
    outside = [edge for edge in edges if edge[0] not in first and edge[1] not in first]
    expected = dominated_by_definition(inside, roots)
    expected |= dominated_by_definition(outside, [root for root in last_resort if root not in first])
    assert result.reachable_count == len(expected)
    for x in range(count):
        assert result.retained_of(x) == sum(sizes[y] for y in expected.get(x, set()))
        assert set(result.dominated(x).tolist()) == expected.get(x, set())
