"""Locks as text: deadlocks first."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.locks import DeadlockStep, LocksResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line, Table, names, numbers
from heaphound.views.quantities import count


def page(answer: Answer[LocksResult]) -> Iterator[Block]:
    """Cycles of threads that wait for each other, then every lock in use."""
    result = answer.result
    for cycle in result.deadlocks:
        yield from _cycle(cycle)
    if result.locks:
        rows = [
            (
                lock.kind,
                lock.object,
                lock.type,
                lock.owner,
                lock.recursion,
                lock.entering,
                _ids(lock.entering_threads),
                _ids(lock.waiting_threads),
            )
            for lock in result.locks
        ]
        columns = (*names("Kind", "Object", "Type"), *numbers("Owner", "Entered", "Entering"), *names("By threads", "Waiting for a pulse"))
        yield Table(columns, rows)
    else:
        yield Line("No lock is held or waited for.")
    yield Line("")
    yield Line(f"{count(result.sync_blocks, 'sync block')} in use.", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _cycle(cycle: tuple[DeadlockStep, ...]) -> Iterator[Block]:
    yield Line(f"DEADLOCK of {count(len(cycle), 'thread')}", "bad")
    for step in cycle:
        yield Line(f"  thread {step.thread} waits for {step.type or 'object'} {step.wants}, held by thread {step.held_by}")
    yield Line("")


def _ids(ids: tuple[int, ...]) -> str | None:
    return ", ".join(str(item) for item in ids) or None
