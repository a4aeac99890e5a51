"""Locks as text: deadlocks first."""

from collections.abc import Iterator
from itertools import zip_longest

from heaphound.results.answer import Answer
from heaphound.results.locks import DeadlockStep, LockRow, LocksResult
from heaphound.results.threads import WaitRow
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line, Table, names, numbers
from heaphound.views.quantities import count
from heaphound.views.text.frames import wait_words, waited_type

BEHIND_SHOWN = 16
UNOWNED = ("semaphore", "event", "countdown", "barrier", "wait handle")


def page(answer: Answer[LocksResult]) -> Iterator[Block]:
    """Cycles of threads that wait for each other, then every lock in use."""
    result = answer.result
    for cycle, behind in zip_longest(result.deadlocks, result.behind, fillvalue=()):
        yield from _cycle(cycle, behind)
    shown = [lock for lock in result.locks if lock.inside is None]
    if shown:
        rows = [
            (
                lock.kind,
                lock.object,
                waited_type(lock.type),
                _owner(lock),
                lock.recursion or None,
                lock.entering,
                _ids(lock.entering_threads),
                _ids(lock.waiting_threads),
            )
            for lock in shown
        ]
        columns = (*names("Kind", "Object", "Type", "Held by"), *numbers("Entered", "Waiting"), *names("Threads", "For a pulse"))
        yield Table(columns, rows)
    else:
        yield Line("No lock is held or waited for.")
    inside = len(result.locks) - len(shown)
    yield Line("")
    if inside:
        yield Line(f"{count(inside, 'monitor')} inside of events, tasks and the like: --json lists them.", "dim")
    if any(lock.kind in UNOWNED for lock in shown):
        yield Line("Semaphores, events, countdowns, barriers and wait handles do not record who is to signal them.", "dim")
    yield Line(f"{count(result.sync_blocks, 'sync block')} in use.", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _cycle(cycle: tuple[DeadlockStep, ...], behind: tuple[int, ...]) -> Iterator[Block]:
    yield Line(f"DEADLOCK of {count(len(cycle), 'thread')}", "bad")
    for step in cycle:
        words = wait_words(WaitRow(step.kind, None, step.wants, step.type, step.held_by))
        yield Line(f"  thread {step.thread} waits: {words}")
    if behind:
        ids = ", ".join(str(item) for item in behind[:BEHIND_SHOWN])
        more = f" and {len(behind) - BEHIND_SHOWN} more" if len(behind) > BEHIND_SHOWN else ""
        yield Line(f"  {count(len(behind), 'more thread')} behind it: {ids}{more}")
    yield Line("")


def _owner(lock: LockRow) -> str | None:
    """``8``, ``8 (ended)``, ``os 4711 (ended)``, ``native 4711``, ``reading: 3, 4``."""
    words = [] if lock.owner is None else [f"{lock.owner}{' (ended)' if lock.owner_ended else ''}"]
    if lock.owner is None and lock.owner_os_id is not None:
        words.append(f"os {lock.owner_os_id} (ended)" if lock.owner_ended else f"native {lock.owner_os_id}")
    if lock.readers:
        words.append(f"reading: {_ids(lock.readers)}")
    return "; ".join(words) or None


def _ids(ids: tuple[int, ...]) -> str | None:
    return ", ".join(str(item) for item in ids) or None
