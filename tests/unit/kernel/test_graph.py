"""Paths, distances and edges against brute force; progress and interruption of long calls."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heaphound._core import Graph

NONE = 0xFFFFFFFF
Edges = list[tuple[int, int]]


def indices(values: list[int]) -> NDArray[np.uint32]:
    return np.array(values, dtype=np.uint32)


def make_graph(count: int, edges: Edges) -> Graph:
    return Graph.from_edges(count, indices([source for source, _ in edges]), indices([target for _, target in edges]))


def distances_by_hand(count: int, edges: Edges, roots: list[int]) -> list[int]:
    distance = [0 if x in roots else NONE for x in range(count)]
    for level in range(count):
        for source, target in edges:
            if distance[source] == level and distance[target] == NONE:
                distance[target] = level + 1
    return distance


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges, list[int], list[int]]:
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    edges = draw(st.lists(st.tuples(node, node), max_size=3 * count))
    return count, edges, draw(st.lists(node, max_size=4)), draw(st.lists(node, max_size=3))


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_edges_both_ways_and_distances(graph: tuple[int, Edges, list[int], list[int]]) -> None:
    count, edges, roots, _ = graph
    made = make_graph(count, edges)
    assert made.object_count == count
    assert made.reference_count == len(edges)
    for x in range(count):
        assert made.references(x).tolist() == [target for source, target in edges if source == x]
        assert made.referrers(x).tolist() == sorted(source for source, target in edges if target == x)
        assert made.referrers(x, 1).tolist() == sorted(source for source, target in edges if target == x)[:1]
    expected = distances_by_hand(count, edges, roots)
    assert made.distances(indices(roots)).tolist() == expected
    assert made.reachable(indices(roots)).tolist() == [distance != NONE for distance in expected]


@settings(max_examples=400, deadline=None)
@given(graphs(), st.integers(1, 4), st.integers(0, 11))
def test_paths_are_real_shortest_and_complete(graph: tuple[int, Edges, list[int], list[int]], maximum: int, target: int) -> None:
    count, edges, roots, spare = graph
    target %= count
    made = make_graph(count, edges)
    paths, complete = made.shortest_paths(indices(roots), target, maximum, indices(spare))
    to_target = distances_by_hand(count, [(target, source) for source, target in edges], [target])
    first = {root for root in roots if to_target[root] != NONE}
    second = {root for root in spare if to_target[root] != NONE} - first
    # A search that stops with enough paths in hand cannot say that there are no others.
    assert not complete or len(first) + len(second) <= maximum
    assert complete or len(paths) == maximum
    assert len(paths) == min(maximum, len(first) + len(second))
    starts = [path[0] for path in paths]
    assert len(set(starts)) == len(starts)
    assert set(starts[: len(first)]) <= first
    assert set(starts[len(first) :]) <= second
    for path in paths:
        assert path[-1] == target
        assert all(step in edges for step in pairwise(path))
        assert len(path) - 1 == to_target[path[0]]
    for group in (starts[: len(first)], starts[len(first) :]):
        lengths = [to_target[start] for start in group]
        assert lengths == sorted(lengths)
    # None that was left out is shorter than one that was taken.
    if paths and len(first) > maximum:
        assert max(to_target[start] for start in starts) <= min(to_target[root] for root in first - set(starts))


@settings(max_examples=300, deadline=None)
@given(graphs(), st.integers(0, 11))
def test_first_path_is_shortest(graph: tuple[int, Edges, list[int], list[int]], target: int) -> None:
    count, edges, roots, spare = graph
    target %= count
    path = make_graph(count, edges).first_path(indices(roots), target, indices(spare))
    first, second = distances_by_hand(count, edges, roots)[target], distances_by_hand(count, edges, spare)[target]
    expected = first if first != NONE else second
    if expected == NONE:
        assert path is None
        return
    assert path is not None
    assert path[0] in (roots if first != NONE else spare)
    assert path[-1] == target
    assert all(step in edges for step in pairwise(path))
    assert len(path) - 1 == expected


def test_blocks_of_rows_join() -> None:
    """Edges are stored in blocks of 65,536 rows; here every second object refers across blocks."""
    count = 200_000
    sources = np.arange(0, count, 2, dtype=np.uint32)
    targets = (count - 1 - sources).astype(np.uint32)
    graph = Graph.from_edges(count, sources, targets)
    for index in (0, 65_534, 65_536, 131_072, 199_998):
        assert graph.references(index).tolist() == [count - 1 - index]
        assert graph.referrers(count - 1 - index).tolist() == [index]
    assert graph.references(65_535).tolist() == []
    assert int(graph.referrer_counts().sum()) == count // 2


def test_indices_out_of_range_are_refused() -> None:
    graph = make_graph(3, [(0, 1)])
    for call in (
        lambda: make_graph(3, [(0, 3)]),
        lambda: graph.references(3),
        lambda: graph.referrers(3),
        lambda: graph.reachable(indices([3])),
        lambda: graph.shortest_paths(indices([0]), 3, 1),
        lambda: graph.shortest_paths(indices([3]), 0, 1),
        lambda: graph.first_path(indices([3]), 0),
    ):
        with pytest.raises(ValueError, match="object index 3 is not below 3"):
            call()
    with pytest.raises(ValueError, match="at least 1"):
        graph.shortest_paths(indices([0]), 1, 0)


def big_chain() -> tuple[Graph, NDArray[np.uint64]]:
    """Work of some seconds: a random permutation's cycle defeats every cache."""
    count = 4_000_000
    order = np.random.default_rng(1).permutation(count).astype(np.uint32)
    return Graph.from_edges(count, order[:-1], order[1:]), np.ones(count, dtype=np.uint64)


def test_progress_is_told_from_the_calling_thread_and_can_stop_the_work() -> None:
    graph, sizes = big_chain()
    start = indices([int(np.argmin(graph.referrer_counts()))])
    calls: list[tuple[str, int, int, bool]] = []

    def watch(phase: str, done: int, total: int) -> None:
        calls.append((phase, done, total, threading.current_thread() is threading.main_thread()))

    while not calls:  # a fast machine may be done before the first tick
        graph.dominators_of_sizes(sizes, start, progress=watch)
    assert all(main and phase and 0 <= done <= total for phase, done, total, main in calls)

    def stop(phase: str, done: int, total: int) -> None:
        raise InterruptedError(f"{phase} {done} of {total}")

    def work_until_stopped() -> None:
        while True:
            graph.dominators_of_sizes(sizes, start, progress=stop)

    with pytest.raises(InterruptedError):
        work_until_stopped()


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises, as in a terminal; a shell starts its background jobs, and so a test run among them, with SIGINT ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interrupts")
def test_interrupt_ends_long_work() -> None:
    graph, sizes = big_chain()
    start = indices([int(np.argmin(graph.referrer_counts()))])
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()

    def work_for_half_a_minute() -> None:
        while time.monotonic() - started < 30:
            graph.dominators_of_sizes(sizes, start)

    with pytest.raises(KeyboardInterrupt):
        work_for_half_a_minute()
    timer.join()
    assert time.monotonic() - started < 10
