"""`stack`: frames of one thread, of all, or the stacks of all merged into one tree."""

from heaphound.answers.facts import dump_facts
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.stack_tree import merge_stacks
from heaphound.errors import UsageError
from heaphound.results.answer import Answer, Coverage
from heaphound.results.stack import StackResult
from heaphound.runtime.stacks.frame import Frame, ManagedFrame, StackEnd
from heaphound.runtime.threads import Thread
from heaphound.session import Session


def stack(session: Session, thread: int | None = None, parallel: bool = False, limit: int | None = None) -> Answer[StackResult]:
    """Stacks of the thread with a managed or OS id, or of all threads that run managed code; `limit` innermost frames of each.

    `parallel` merges the stacks instead. Raises UsageError for a thread that is not there.
    """
    rows = StackRows(session)
    chosen = session.threads if thread is None else _chosen(session.threads, thread)
    if parallel:
        return _merged(session, rows, chosen)
    found = [rows.thread(item, limit) for item in chosen]
    shown = tuple(row for row in found if row.frames or row.stack_end or thread is not None)
    silent = tuple(row.managed_id for row in found if row not in shown)
    return Answer(dump_facts(session), Coverage(notes=rows.notes), StackResult(shown, without_frames=silent))


def _chosen(threads: list[Thread], wanted: int) -> list[Thread]:
    """By managed id, else by OS id."""
    found = [thread for thread in threads if thread.managed_id == wanted] or [thread for thread in threads if thread.os_id == wanted]
    if not found:
        ids = ", ".join(str(thread.managed_id) for thread in threads[:50])
        raise UsageError(f"there is no thread with the managed or OS id {wanted}: managed ids are {ids}")
    return found


def _merged(session: Session, rows: StackRows, chosen: list[Thread]) -> Answer[StackResult]:
    notes = list(rows.notes)
    stacks: dict[int, list[str]] = {}
    without: list[int] = []
    for thread in chosen:
        methods: list[str] = []
        for item in session.stacks.walk(thread):
            if isinstance(item, StackEnd):
                notes.append(f"the stack of thread {thread.managed_id} is not whole: {item.reason}")
            elif (name := _name(item)) is not None:
                methods.append(name)
        if methods:
            stacks[thread.managed_id] = methods[::-1]
        else:
            without.append(thread.managed_id)
    result = StackResult((), tuple(merge_stacks(stacks)), tuple(without))
    return Answer(dump_facts(session), Coverage(notes=tuple(notes)), result)


def _name(frame: Frame) -> str | None:
    """A managed frame's method; a helper of the runtime by the method it implements; nothing for other Frames."""
    if isinstance(frame, ManagedFrame):
        return frame.code.method.full_name if frame.code.method is not None else f"<code at {frame.ip:#x}>"
    return frame.method.full_name if frame.method is not None and frame.method.kind == "internal call" else None
