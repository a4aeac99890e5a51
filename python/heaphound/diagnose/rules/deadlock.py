"""Threads that wait for each other's locks.

What it finds
    Cycles of threads, each waiting for what the next one holds, runs or is: a monitor, a Lock, a reader-writer lock (held for reading
    too), a task or type initializer that it runs, its end (Thread.Join), a native mutex; and how many more threads wait behind them.
Why it is a leak
    It is none by itself, but no thread that needs one of these locks ever goes on: requests pile up with all that they hold.
Evidence
    The locks and stacks of the dump, exact: `heaphound locks` lists them.
What it cannot see
    Semaphores, events and wait handles, a Mutex too, which do not record who holds them or is to signal them.
"""

from collections.abc import Iterator

from heaphound.address import Address
from heaphound.diagnose.blocked_threads import blocking_code, thread_words, waits_words
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, FindingRoot, Holder
from heaphound.results.locks import DeadlockStep
from heaphound.results.threads import ThreadRow

ID = "deadlock"
SITES_LISTED = 5
LOCKS = ("monitor enter", "lock enter", "reader-writer lock", "native lock")
ORDER = "take these locks in one order everywhere, or hold only one of them at a time"
ALONE = "wait for no task, thread or type initializer while holding a lock that it takes too: let go of the lock first, or await"


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each cycle. Locks are looked at only where at least two threads wait for one."""
    if subject.observed is None:
        return
    threads = subject.observed.threads()
    if not any(thread.waits is not None and (thread.waits.owner is not None or thread.waits.readers) for thread in threads):
        return
    locks = subject.observed.locks()
    for cycle, behind in zip(locks.deadlocks, locks.behind, strict=True):
        yield _finding(subject, cycle, len(behind), {thread.managed_id: thread for thread in threads})


def _finding(subject: Subject, cycle: tuple[DeadlockStep, ...], behind: int, threads: dict[int, ThreadRow]) -> Finding:
    inside = [threads[step.thread] for step in cycle if step.thread in threads]
    code = blocking_code(inside, SITES_LISTED)
    first, locks = cycle[0], all(step.kind in LOCKS for step in cycle)
    index = None if first.wants is None else subject.graph.table.index_of(first.wants)
    others = f"; {behind:,} more wait behind them" if behind > 0 else ""
    whom = "each other's locks" if locks else "each other"
    return Finding(
        rule=ID,
        title=f"{len(cycle)} threads wait for {whom}: {', '.join(map(thread_words, inside))}{others}",
        severity="waste",
        confidence=0.99,
        retained_bytes=0,
        object_count=len(cycle),
        fingerprint=fingerprint(ID, sorted(site.method for site in code)),
        type=first.type or "System.Object",
        method_table=None if index is None else Address(subject.type_of(index).method_table),
        holder=Holder(first.type or "System.Object", None, first.wants),
        root=FindingRoot("stack", thread=first.thread, method=code[0].method if code else None),
        path=() if index is None else subject.steps([index]),
        code=code,
        advice=ORDER if locks else ALONE,
        evidence=tuple(waits_words(thread, list(threads.values())) for thread in inside),
    )


RULE = Rule(ID, find)
