"""Cycles of threads that wait for each other, and who waits behind them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.address import Address
from heaphound.answers.deadlocks import find_cycles, find_deadlocks
from heaphound.results.threads import WaitRow

Graph = dict[int, list[int]]


@pytest.mark.parametrize(
    ("holders", "cycles"),
    [
        ({1: [2], 2: [1]}, [[1, 2]]),
        ({1: [2], 2: [3], 3: [1]}, [[1, 2, 3]]),
        ({1: [2], 2: [1], 3: [1]}, [[1, 2]]),
        ({1: [2]}, []),
        ({1: [1]}, [[1]]),
        ({1: [2], 2: [1], 5: [6], 6: [5]}, [[1, 2], [5, 6]]),
        ({1: [4, 2, 3], 2: [1]}, [[1, 2]]),  # a lock that several hold for reading
        ({1: [2], 2: [1], 3: [2, 4], 4: [3]}, [[1, 2], [3, 4]]),
        ({1: [2], 2: [3], 3: [2]}, [[2, 3]]),
    ],
)
def test_cycles(holders: Graph, cycles: list[list[int]]) -> None:
    assert find_cycles(holders) == cycles


@given(st.dictionaries(st.integers(1, 7), st.lists(st.integers(1, 8), max_size=3), max_size=7))
def test_a_cycle_is_found_where_there_is_one(holders: Graph) -> None:
    found = find_cycles(holders)
    assert bool(found) == any(_reaches(thread, thread, holders) for thread in holders)
    for cycle in found:
        assert all(after in holders[thread] for thread, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    threads = [thread for cycle in found for thread in cycle]
    assert len(threads) == len(set(threads))


def _reaches(start: int, wanted: int, holders: Graph) -> bool:
    reached: set[int] = set()
    work = list(holders.get(start, ()))
    while work:
        thread = work.pop()
        if thread not in reached:
            reached.add(thread)
            work.extend(holders.get(thread, ()))
    return wanted in reached


def test_a_long_chain_takes_linear_time() -> None:
    assert find_cycles({thread: [thread + 1] for thread in range(100_000)}) == []
    (cycle,) = find_cycles({thread: [(thread + 1) % 100_000] for thread in range(100_000)})
    assert len(cycle) == 100_000


def test_who_waits_behind_a_deadlock_is_told() -> None:
    waits = {
        1: WaitRow("monitor enter", None, Address(16), "Shop.A", 2),
        2: WaitRow("reader-writer lock", None, Address(32), "Shop.B", None, readers=(9, 1)),
        3: WaitRow("monitor enter", None, Address(32), "Shop.B", 1),
        4: WaitRow("thread join", None, Address(48), "System.Threading.Thread", 3),
        5: WaitRow("semaphore", None, Address(64), "System.Threading.SemaphoreSlim"),
    }
    (steps,), behind = find_deadlocks(waits)
    assert [(step.thread, step.kind, step.held_by) for step in steps] == [(1, "monitor enter", 2), (2, "reader-writer lock", 1)]
    assert behind == ((3, 4),)
