"""Work that the thread pool does not get to.

What it finds
    Thousands of items in the queue that all threads of the pool share, and what these threads are doing.
Why it is a leak
    The queue has no bound: each item keeps its delegate or state machine and all that these refer to. It grows when every thread of the
    pool blocks, most often on a Task that itself needs a thread of the pool (Wait, Result, GetAwaiter().GetResult()).
Evidence
    The queue, exact; the stacks of the pool's threads.
What it cannot see
    Items in the queues of single threads.
"""

from collections.abc import Iterator, Sequence

from heaphound.address import Address
from heaphound.diagnose.accumulation import program_type
from heaphound.diagnose.blocked_threads import blocking_code, own_frame, waits_words
from heaphound.diagnose.callbacks import field_offset
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by
from heaphound.diagnose.slot import item_count
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, Holder
from heaphound.results.threads import ThreadRow

ID = "thread-pool-queue"
QUEUE = "System.Threading.ThreadPoolWorkQueue"
ITEMS = ("workItems", "_workItems")
POOL_STATE = "pool worker"
MINIMUM_COUNT = 1000
LEAK_SHARE = 0.1
SITES_LISTED = 3


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for the queue if very many items wait in it."""
    for kind in subject.types_named(QUEUE):
        offset = field_offset(kind, *ITEMS)
        for queue in subject.instances(kind.method_table).tolist() if offset is not None else ():
            items = subject.graph.table.index_of(subject.runtime.memory.pointer(subject.address_of(queue) + (offset or 0)))
            count = None if items is None else item_count(subject, items)
            if items is not None and count is not None and count >= MINIMUM_COUNT:
                yield _finding(subject, queue, items, count)


def _finding(subject: Subject, queue: int, items: int, count: int) -> Finding:
    retained = subject.graph.retained_bytes(items)
    share = retained / subject.heap_bytes
    threads = () if subject.observed is None else subject.observed.threads()
    workers = [thread for thread in threads if POOL_STATE in thread.state and own_frame(thread) is not None]
    blocked = [thread for thread in workers if thread.waits is not None]
    held = held_by(subject, items)
    piled = _item_type(subject, items)
    return Finding(
        rule=ID,
        title=f"{count:,} work items wait for a thread of the pool: {share:.0%} of the heap",
        severity="leak" if share >= LEAK_SHARE and blocked else "waste",
        confidence=0.85 if blocked else 0.6,
        retained_bytes=retained,
        object_count=count,
        fingerprint=fingerprint(ID, sorted({own.method or "" for thread in blocked if (own := own_frame(thread)) is not None})),
        type=subject.types.type(piled).name,
        method_table=Address(piled),
        holder=Holder(QUEUE, ITEMS[0], Address(subject.address_of(queue))),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(held.path),
        code=blocking_code(blocked, SITES_LISTED),
        advice="do not block threads of the pool: await instead of Wait, Result and GetResult; bound what is queued",
        evidence=tuple(_evidence(retained, workers, blocked, threads)),
        caveats=() if blocked else ("no thread of the pool was found to wait: it may only be slower than what queues the work",),
    )


def _item_type(subject: Subject, items: int) -> int:
    """Method table of the program's objects that the queued items keep, else of what there is most of below the queue."""
    counts, _ = subject.graph.dominators.retained_by_type(items)
    most = int(subject.graph.table.method_tables[int(counts.argmax())])
    return program_type(subject, most, int(counts.max()), subject.instances(most))[0]


def _evidence(retained: int, workers: Sequence[ThreadRow], blocked: Sequence[ThreadRow], threads: Sequence[ThreadRow]) -> Iterator[str]:
    yield f"the queue alone keeps {retained:,} bytes alive"
    if workers:
        yield f"{len(blocked)} of {len(workers)} threads of the pool that run code of the program wait there"
    if blocked:
        yield f"one of them: {waits_words(blocked[0], threads)}"


RULE = Rule(ID, find)
