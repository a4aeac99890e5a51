"""Timers that are started and never disposed.

What it finds
    Thousands of timers in the runtime's timer queue that call the same method.
Why it is a leak
    The queue holds each timer until it is disposed or has fired for the last time, and with it its state, its callback's object and the
    execution context it was made in (all AsyncLocal values), even where the program has forgotten the timer.
Evidence
    The timers of the queue, exact: how many, which method they call, how often, and what they alone keep alive. The code that makes them.
What it cannot see
    Whether each belongs to something that is still in use; waits of async methods (Task.Delay) are the rule waiting-methods'.
"""

from collections.abc import Iterator

import numpy as np

from heaphound.address import Address
from heaphound.diagnose.callbacks import CallbackGroup, callback_groups, field_offset, passing, rows_of
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import held_by
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import CodeSite, Finding, FindingRoot, Holder
from heaphound.runtime.types import Type

ID = "timers"
TIMER = "System.Threading.TimerQueueTimer"
MADE_AS = ("System.Threading.Timer", "System.Timers.Timer", "System.Threading.PeriodicTimer")
OF_WAITS = "System.Threading.Tasks."
MINIMUM_COUNT = 1000
MINIMUM_BYTES = 1 << 20
LEAK_SHARE = 0.1
NO_PERIOD = 0xFFFFFFFF  # Timeout.Infinite as TimerQueueTimer keeps it
SAMPLED = 1000


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each method that very many timers call."""
    for timer in subject.types_named(TIMER):
        callback = field_offset(timer, "_timerCallback", "m_timerCallback")
        members = subject.instances(timer.method_table)
        if callback is None or len(members) < MINIMUM_COUNT:
            continue
        reachable = subject.graph.dominators.retained_of_many(members) > 0
        for group in callback_groups(subject, members[reachable], callback):
            if len(group.indices) >= MINIMUM_COUNT and not group.method.startswith(OF_WAITS):
                retained = subject.graph.retained_together(group.indices)
                if retained >= MINIMUM_BYTES:
                    yield _finding(subject, timer, group, retained)


def _finding(subject: Subject, timer: Type, group: CallbackGroup, retained: int) -> Finding:
    count, share = len(group.indices), retained / subject.heap_bytes
    code = _code(subject, group)
    return Finding(
        rule=ID,
        title=f"{count:,} timers that call {group.method} were never disposed: {share:.0%} of the heap",
        severity="leak" if share >= LEAK_SHARE else "note",
        confidence=0.8 if code else 0.7,
        retained_bytes=retained,
        object_count=count,
        fingerprint=fingerprint(ID, [group.method]),
        type=TIMER,
        method_table=Address(timer.method_table),
        holder=Holder("System.Threading.TimerQueue"),
        root=FindingRoot("timer"),
        path=subject.steps(_end_of_path(subject, int(group.indices[0]))),
        code=code,
        advice="dispose each timer when its owner is done (Dispose, or `using`), or serve all of them with one timer",
        evidence=tuple(_evidence(subject, timer, group, retained)),
        caveats=() if code else ("the code that makes these timers was not found in the loaded assemblies",),
    )


def _end_of_path(subject: Subject, index: int) -> list[int]:
    """The timer itself, behind whatever holds it: the list of the queue says nothing."""
    held = held_by(subject, index)
    return [*held.path[-1:]] or [index]


def _code(subject: Subject, group: CallbackGroup) -> tuple[CodeSite, ...]:
    sites = [site for name in MADE_AS for site in subject.search.allocations(name)]
    own = [site for site in sites if site.module.name != subject.types.core_library.name]
    matched = passing(own, group)
    if matched:
        return rows_of(matched, "allocates", "makes timers that call this method")
    made = next((name for name in MADE_AS[1:] if group.method.startswith(name)), None)
    return (
        ()
        if made is None
        else rows_of(
            [site for site in own if site.operation.member is not None and site.operation.member.declaring_type == made],
            "allocates",
            f"makes a {made}",
        )
    )


def _evidence(subject: Subject, timer: Type, group: CallbackGroup, retained: int) -> Iterator[str]:
    yield f"the timer queue holds them; together they alone keep {retained:,} bytes alive"
    offset = field_offset(timer, "_period", "m_period")
    if offset is None:
        return
    addresses = subject.graph.table.addresses_of(group.indices[:: max(1, len(group.indices) // SAMPLED)])
    periods, present = subject.runtime.memory.image.gather_u32(addresses + np.uint64(offset))
    counts = {int(period): int(count) for period, count in zip(*np.unique(periods[present], return_counts=True), strict=True)}
    if counts:
        period = max(counts, key=lambda one: counts[one])
        words = "fires once, when its time has come" if period == NO_PERIOD or not period else f"fires every {period / 1000:,g} s"
        yield f"{'each' if len(counts) == 1 else 'the most'} of them {words}"


RULE = Rule(ID, find)
