"""`threads`: all managed threads with what they do, and the frames of each for programs."""

from dataclasses import replace

from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.thread_retention import retained_by_stacks
from heaphound.results.answer import Answer, Coverage
from heaphound.results.threads import ThreadsResult
from heaphound.session import Session

MAXIMUM_FRAMES = 1000


def threads(session: Session, frames: int | None = MAXIMUM_FRAMES, retained: bool = False) -> Answer[ThreadsResult]:
    """All threads in the runtime's order, dead and unstarted ones too; of each stack at most `frames` innermost frames.

    With `retained` also the bytes that each thread's stack alone keeps alive, which needs the whole graph of references.
    """
    rows = StackRows(session)
    found = tuple(rows.thread(thread, frames) for thread in session.threads)
    if retained:
        held = retained_by_stacks(session)
        found = tuple(replace(row, retained_bytes=held.get(row.os_id)) for row in found)
        return Answer(dump_facts(session), heap_coverage(session, roots=True, notes=rows.notes), ThreadsResult(found))
    return Answer(dump_facts(session), Coverage(notes=rows.notes), ThreadsResult(found))
