"""Deadlocks: cycles of threads, each waiting for what another one holds, runs or is, whatever kind of lock each waits for."""

from collections import deque
from collections.abc import Collection, Mapping

from heaphound.results.locks import DeadlockStep
from heaphound.results.threads import WaitRow


def find_deadlocks(waits: Mapping[int, WaitRow]) -> tuple[tuple[tuple[DeadlockStep, ...], ...], tuple[tuple[int, ...], ...]]:
    """(cycles, for each the threads that wait behind it). `waits`: managed id to what the thread waits for."""
    holders = {thread: _holders(row) for thread, row in waits.items()}
    holders = {thread: found for thread, found in holders.items() if found}
    cycles = find_cycles(holders)
    inside = {thread for cycle in cycles for thread in cycle}
    steps = tuple(
        tuple(_step(thread, waits[thread], after) for thread, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True)) for cycle in cycles
    )
    return steps, tuple(_behind(cycle, inside, holders) for cycle in cycles)


def _holders(row: WaitRow) -> tuple[int, ...]:
    """Threads that all have to let go before the wait can end; those of the runtime alone."""
    return (*row.readers, *(() if row.owner is None else (row.owner,)))


def _step(thread: int, row: WaitRow, held_by: int) -> DeadlockStep:
    return DeadlockStep(thread, row.object, row.type, held_by, row.kind)


def find_cycles(holders: Mapping[int, Collection[int]]) -> list[list[int]]:
    """Cycles without a thread in common, each from its lowest thread on, the shortest through it. `holders`: thread to threads it waits
    for. Cost: threads times waits at worst, linear where there is no cycle."""
    left = _prune(holders)
    cycles: list[list[int]] = []
    done: set[int] = set()
    for first in sorted(left):
        if first not in done:
            cycle = _shortest(first, left, done)
            done.update(cycle)
            if cycle:
                cycles.append(cycle)
    return cycles


def _prune(holders: Mapping[int, Collection[int]]) -> dict[int, list[int]]:
    """Without the threads that wait for none that waits, again and again: only what leads to a cycle is left."""
    left = {thread: [item for item in waited if item in holders] for thread, waited in holders.items()}
    behind: dict[int, list[int]] = {}
    for thread, waited in left.items():
        for item in waited:
            behind.setdefault(item, []).append(thread)
    open_ends = {thread: len(waited) for thread, waited in left.items()}
    work = [thread for thread, number in open_ends.items() if not number]
    while work:
        ended = work.pop()
        for thread in behind.get(ended, ()):
            open_ends[thread] -= 1
            if not open_ends[thread]:
                work.append(thread)
    return {thread: [item for item in waited if open_ends[item]] for thread, waited in left.items() if open_ends[thread]}


def _shortest(first: int, holders: Mapping[int, Collection[int]], without: set[int]) -> list[int]:
    """The shortest way from a thread back to it; empty where there is none."""
    came_from: dict[int, int] = {}
    work = deque([first])
    while work:
        thread = work.popleft()
        for item in holders.get(thread, ()):
            if item == first:
                way = [thread]
                while way[-1] != first:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if item not in came_from and item not in without:
                came_from[item] = thread
                work.append(item)
    return []


def _behind(cycle: Collection[int], inside: set[int], holders: Mapping[int, Collection[int]]) -> tuple[int, ...]:
    """Threads outside of all cycles that wait for one of this one, or for one that does."""
    waiting: dict[int, list[int]] = {}
    for thread, waited in holders.items():
        for item in waited:
            waiting.setdefault(item, []).append(thread)
    found: set[int] = set()
    work = list(cycle)
    while work:
        for thread in waiting.get(work.pop(), ()):
            if thread not in found and thread not in inside:
                found.add(thread)
                work.append(thread)
    return tuple(sorted(found))
