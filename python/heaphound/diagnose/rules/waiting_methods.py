"""Async methods that wait for something that does not come.

What it finds
    Thousands of calls of one async method that stand at the same await.
Why it is a leak
    A call that waits keeps its state machine, its arguments and locals and all that these refer to, until what it awaits ends. An answer
    that never comes, a lock that is not released or a delay of a day keep the request for as long.
Evidence
    The logical stacks of `heaphound tasks`, exact: how many, at which await, what they wait for, what they keep alive.
What it cannot see
    Whether they have just started. Calls that wait for a socket may each be an open connection: they are a note; those that wait for the
    next tick of a PeriodicTimer or the next item of a Channel may each serve one: they are a waste.
"""

from collections.abc import Iterator, Sequence

from heaphound.diagnose.accumulation import before_repetition
from heaphound.diagnose.code_places import file_name
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import CodeSite, Finding, Holder
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow

ID = "waiting-methods"
BOX = "StateMachineBox"
MINIMUM_COUNT = 1000
MINIMUM_BYTES = 1 << 20
LEAK_SHARE = 0.1
CONNECTIONS = ("System.Net.", "System.IO.Pipelines.")
LOOPS = ("System.Threading.PeriodicTimer", "System.Threading.Channels.")  # what a loop for each connection waits for
FRAMES_LISTED = 5
LONGEST_PATH = 20


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each kind of logical stack that there are very many of."""
    if subject.observed is None or _boxes(subject) < MINIMUM_COUNT:
        return
    for row in subject.observed.tasks().stacks:
        if row.count >= MINIMUM_COUNT and (row.retained_bytes or 0) >= MINIMUM_BYTES and row.frames and not row.running:
            yield _finding(subject, row)


def _boxes(subject: Subject) -> int:
    """How many objects of async methods the heap has, in use or not; those of 10.0 that the runtime suspends are its Continuations."""
    counts = zip(subject.type_names, subject.graph.table.type_counts.tolist(), strict=True)
    return sum(count for name, count in counts if BOX in name or name.startswith("System.Runtime.CompilerServices.Continuation"))


def _finding(subject: Subject, row: AsyncStackRow) -> Finding:
    innermost, retained = row.frames[0], row.retained_bytes or 0
    share = retained / subject.heap_bytes
    connection = row.awaiting is not None and row.awaiting.startswith(CONNECTIONS)
    loop = row.awaiting is not None and row.awaiting.startswith(LOOPS)
    index = subject.graph.table.index_of(row.frames[-1].address)
    held = None if index is None else held_by(subject, index)
    method = next((frame.method for frame in row.frames if frame.kind in ("method", "suspended")), innermost.method)
    awaited = (row.waits_for or "what is not known").partition(";")[0]
    return Finding(
        rule=ID,
        title=f"{row.count:,} calls of {method} wait for {awaited}: {share:.0%} of the heap",
        severity="note" if connection or share < LEAK_SHARE else "waste" if loop else "leak",
        confidence=0.75,
        retained_bytes=retained,
        object_count=row.count,
        fingerprint=fingerprint(ID, [frame.method for frame in row.frames] + [row.awaiting]),
        type=innermost.state_machine,
        method_table=None,
        holder=Holder(row.awaiting or "what is not known", None, row.awaiting_address),
        root=finding_root(subject.threads, None if held is None else held.root),
        path=() if held is None else subject.steps(_to_the_list(subject, held.path)),
        code=tuple(_code(subject, frame) for frame in row.frames[:FRAMES_LISTED] if frame.kind in ("method", "suspended")),
        advice="find out why what they wait for does not come; let the await end by a timeout or a CancellationToken (WaitAsync)",
        evidence=(f"these stacks keep {retained:,} bytes alive", "`heaphound tasks` shows the logical stack"),
        caveats=("each may serve an open connection, and then no mistake",) if connection or loop else (),
    )


def _to_the_list(subject: Subject, path: Sequence[int]) -> Sequence[int]:
    """A path up to the first of many alike objects in a row: who waits for a semaphore stands in a list of a million others."""
    return path if len(path) <= LONGEST_PATH else path[: before_repetition([subject.type_of(index).method_table for index in path])]


def _code(subject: Subject, frame: AsyncFrameRow) -> CodeSite:
    defined = subject.search.defining_module(frame.state_machine)
    line = frame.line if frame.await_line is None else frame.await_line
    return CodeSite(
        role="blocks",
        method=frame.method,
        declaring_type=frame.state_machine,
        module="" if defined is None else defined[0].name,
        file=None if frame.file is None else file_name(frame.file),
        line=line,
        evidence="stands at an await" if frame.state is None or frame.state < 0 else f"stands at its await number {frame.state + 1}",
    )


RULE = Rule(ID, find)
