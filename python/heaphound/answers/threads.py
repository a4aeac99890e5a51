"""`threads`: all managed threads with what they do, and the frames of each for programs."""

from heaphound.answers.facts import dump_facts
from heaphound.answers.stack_rows import StackRows
from heaphound.results.answer import Answer, Coverage
from heaphound.results.threads import ThreadsResult
from heaphound.session import Session

MAXIMUM_FRAMES = 1000


def threads(session: Session, frames: int | None = MAXIMUM_FRAMES) -> Answer[ThreadsResult]:
    """All threads in the runtime's order, dead and unstarted ones too; of each stack at most `frames` innermost frames."""
    rows = StackRows(session)
    found = tuple(rows.thread(thread, frames) for thread in session.threads)
    return Answer(dump_facts(session), Coverage(notes=rows.notes), ThreadsResult(found))
