"""Chains of what waits for each other, against every chain enumerated one by one."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.answers import async_chains
from heaphound.answers.async_chains import Chains, Edges

Pairs = Sequence[tuple[int, int]]


def chains(keys: Sequence[int], pairs: Pairs) -> Chains:
    sources, targets = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    return Chains(np.array(keys, dtype=np.int64), Edges(len(keys), sources, targets))


def enumerated(keys: Sequence[int], pairs: Pairs) -> Counter[tuple[int, ...]]:
    """Keys along each way from one that nobody awaits to one that awaits nobody, the innermost first."""
    awaited = {target for _, target in pairs}

    def ways(node: int) -> Iterator[tuple[int, ...]]:
        following = [target for source, target in pairs if source == node]
        for one in following:
            yield from ((*inner, keys[node]) for inner in ways(one))
        if not following:
            yield (keys[node],)

    return Counter(way for node in range(len(keys)) if node not in awaited for way in ways(node))


graphs = st.integers(1, 9).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(0, 2), min_size=count, max_size=count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1]), max_size=16),
    )
)


@pytest.mark.parametrize("narrow", [1, 64])
@given(graph=graphs)
def test_groups_are_all_chains(narrow: int, graph: tuple[list[int], set[tuple[int, int]]]) -> None:
    keys, pairs = graph[0], sorted(graph[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(async_chains, "NARROW", narrow)
        found = chains(keys, pairs)
        groups = found.groups()
    told = {tuple(keys[node] for node in found.example(group)): group.count for group in groups}
    assert told == enumerated(keys, pairs)
    assert (found.closing, found.cut) == ({}, 0)
    for group in groups:
        members, innermost = found.members(group) or (np.zeros(0), np.zeros(0))
        example = found.example(group)
        assert set(example) <= set(members.tolist())
        assert example[0] in innermost.tolist()


@pytest.mark.parametrize("narrow", [1, 64])
def test_circles_are_cut_and_told(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_chains, "NARROW", narrow)
    found = chains([0, 1, 2, 3, 3], [(0, 1), (1, 0), (2, 1), (3, 3), (4, 3)])
    assert found.closing == {1: 0, 3: 3}
    assert sorted(found.example(group) for group in found.groups()) == [[1, 0], [1, 2], [3, 4]]
    outside = chains([0, 1], [(0, 1), (1, 0)])
    assert [outside.example(group) for group in outside.groups()] == [[1, 0]]


def test_circles_beyond_the_bound_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_chains, "MAXIMUM_CIRCLES", 1)
    found = chains([0] * 6, [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)])
    assert found.cut == 4
    assert sum(group.count for group in found.groups()) == 5


def test_ways_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_chains, "MAXIMUM_WAYS", 2)
    found = chains([0, 1, 2, 3, 3], [(0, 1), (0, 2), (0, 3), (0, 4)])
    assert sorted(group.count for group in found.groups()) == [1, 2]
    assert found.cut == 1


def test_many_alike_and_a_deep_one() -> None:
    count, depth = 200_000, 5000
    pairs = np.arange(count)
    keys = np.concatenate([np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64), np.full(depth, 2)])
    deep = 2 * count + np.arange(depth - 1)
    edges = Edges(len(keys), np.concatenate([pairs, deep]), np.concatenate([pairs + count, deep + 1]))
    found = Chains(keys, edges)
    alike, alone = found.groups()
    assert (alike.count, len(found.example(alike)), alone.count, len(found.example(alone))) == (count, 2, 1, depth)
    assert found.members(alone) is None, "too long to collect"
