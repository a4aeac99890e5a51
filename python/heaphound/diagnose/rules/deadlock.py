"""Threads that wait for each other's locks.

What it finds
    Cycles of threads, each waiting to enter a monitor that the next one holds, and how many more threads wait for those monitors.
Why it is a leak
    It is none by itself, but no thread that needs one of these locks ever goes on: requests pile up with all that they hold.
Evidence
    The locks and stacks of the dump, exact: `heaphound locks` lists them.
What it cannot see
    Locks that are no monitors (SemaphoreSlim, ReaderWriterLockSlim, native ones), and waits for a task of a thread in the cycle.
"""

from collections.abc import Iterator

from heaphound.address import Address
from heaphound.diagnose.blocked_threads import blocking_code, thread_words, waits_words
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, FindingRoot, Holder
from heaphound.results.locks import DeadlockStep, LocksResult
from heaphound.results.threads import ThreadRow

ID = "deadlock"
ENTERING = "monitor enter"
SITES_LISTED = 5


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each cycle. Locks are looked at only where at least two threads wait for one."""
    if subject.observed is None:
        return
    threads = subject.observed.threads()
    if sum(thread.waits is not None and thread.waits.kind == ENTERING for thread in threads) < 2:
        return
    locks = subject.observed.locks()
    for cycle in locks.deadlocks:
        yield _finding(subject, cycle, locks, {thread.managed_id: thread for thread in threads})


def _finding(subject: Subject, cycle: tuple[DeadlockStep, ...], locks: LocksResult, threads: dict[int, ThreadRow]) -> Finding:
    inside = [threads[step.thread] for step in cycle if step.thread in threads]
    wanted = {step.wants for step in cycle}
    behind = sum(row.entering for row in locks.locks if row.object in wanted) - len(cycle)
    code = blocking_code(inside, SITES_LISTED)
    first = cycle[0]
    index = subject.graph.table.index_of(first.wants)
    others = f"; {behind:,} more wait for their locks" if behind > 0 else ""
    return Finding(
        rule=ID,
        title=f"{len(cycle)} threads wait for each other's locks: {', '.join(map(thread_words, inside))}{others}",
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
        advice="take these locks in one order everywhere, or hold only one of them at a time",
        evidence=tuple(waits_words(thread, list(threads.values())) for thread in inside),
    )


RULE = Rule(ID, find)
