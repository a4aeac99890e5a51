"""`stack`: frames of one thread, of all, or the stacks of all merged into one tree."""

from collections.abc import Iterable, Iterator

from heaphound.answers.facts import dump_facts
from heaphound.answers.frame_rows import FrameRows
from heaphound.answers.lacking import lacking_for_stacks
from heaphound.answers.stack_rows import StackRows
from heaphound.answers.stack_tree import ThreadKey, merge_stacks
from heaphound.answers.variable_rows import VariableRows
from heaphound.dump.native_frames import NativeFrame
from heaphound.errors import UsageError
from heaphound.results.answer import Answer, Coverage
from heaphound.results.stack import StackResult
from heaphound.results.threads import ThreadRow
from heaphound.runtime.stacks.frame import ManagedFrame, StackEnd
from heaphound.runtime.stacks.further_frames import MixedFrame
from heaphound.runtime.threads import Thread
from heaphound.session import Session

IDS_NAMED = 50  # in the sentence about a thread that is not there


def stack(
    session: Session,
    thread: int | str | None = None,
    parallel: bool = False,
    limit: int | None = None,
    native: bool = False,
    variables: bool = False,
    strings: bool = False,
) -> Answer[StackResult]:
    """Stacks of the thread with a managed or OS id, of those with a name, or of all with managed code; `limit` innermost frames of each.

    `native` adds the frames of native code, and the threads that run nothing else; `variables` each frame's arguments, locals and further
    references, texts of strings only with `strings`. `parallel` merges the stacks instead. Raises UsageError for a thread that is not
    there.
    """
    rows = StackRows(session, VariableRows(session, strings) if variables else None)
    chosen = session.threads if thread is None else _chosen(session.threads, thread)
    others = _others(session, thread) if native and (thread is None or not chosen) else []
    if not chosen and not others and thread is not None:
        raise UsageError(_not_there(session, thread, native))
    if parallel:
        return _merged(session, rows, chosen, others, limit, native)
    found = [rows.thread(item, limit, native) for item in chosen]
    silent = tuple(row.managed_id for row in found if not _is_shown(row, thread))
    shown = tuple(row for row in found if _is_shown(row, thread))
    natives = tuple(rows.native_thread(os_id, limit) for os_id in others)
    result = StackResult(shown, without_frames=silent, native_threads=natives)
    return Answer(dump_facts(session), Coverage(notes=(*rows.notes, *lacking_for_stacks(session))), result)


def _is_shown(row: ThreadRow, wanted: int | str | None) -> bool:
    """A thread without frames is listed apart, unless it was asked for."""
    return bool(row.frames or row.stack_end or wanted is not None)


def _chosen(threads: list[Thread], wanted: int | str) -> list[Thread]:
    """By managed id, else by OS id; by name all that have it."""
    if isinstance(wanted, str):
        return [thread for thread in threads if thread.name == wanted]
    return [thread for thread in threads if thread.managed_id == wanted] or [thread for thread in threads if thread.os_id == wanted]


def _others(session: Session, wanted: int | str | None) -> list[int]:
    """OS ids of the threads that the runtime does not know, in the order of the file."""
    known = {thread.os_id for thread in session.threads}
    return [thread.os_id for thread in session.core.threads if thread.os_id not in known and wanted in (None, thread.os_id)]


def _not_there(session: Session, wanted: int | str, native: bool) -> str:
    shown = session.threads[:IDS_NAMED]
    more = len(session.threads) - len(shown)
    ids = ", ".join(str(thread.managed_id) for thread in shown) + (f" and {more} more" if more else "")
    if isinstance(wanted, str):
        names = sorted({thread.name for thread in session.threads if thread.name})[:IDS_NAMED]
        return f"there is no thread with the name {wanted!r}: names are {', '.join(names) or 'not set'}; managed ids are {ids}"
    if not native and wanted in [thread.os_id for thread in session.core.threads]:
        return f"thread {wanted} runs no managed code and is not known to the runtime: --native shows its frames; managed ids are {ids}"
    return f"there is no thread with the managed or OS id {wanted}: managed ids are {ids}"


def _merged(
    session: Session, rows: StackRows, chosen: list[Thread], others: list[int], limit: int | None, native: bool
) -> Answer[StackResult]:
    notes = [*rows.notes, *lacking_for_stacks(session)]
    stacks: dict[ThreadKey, list[str]] = {}
    without: list[int] = []
    for key, walk in _walks(session, chosen, others, native):
        methods: list[str] = []
        for item in walk:
            if isinstance(item, StackEnd):
                whose = f"native thread {key.number}" if key.native else f"thread {key.number}"
                notes.append(f"the stack of {whose} is not whole: {item.reason}")
            elif (name := _name(item, rows.frames)) is not None:
                methods.append(name)
        if methods:
            stacks[key] = methods[::-1]
        elif not key.native:
            without.append(key.number)
    result = StackResult((), tuple(merge_stacks(stacks, limit)), tuple(without))
    return Answer(dump_facts(session), Coverage(notes=tuple(notes)), result)


def _walks(
    session: Session, chosen: list[Thread], others: list[int], native: bool
) -> Iterator[tuple[ThreadKey, Iterable[MixedFrame | StackEnd]]]:
    for thread in chosen:
        walk = session.mixed_stacks.walk if native else session.stacks.walk
        yield ThreadKey(False, thread.managed_id), walk(thread)
    for os_id in others:
        yield ThreadKey(True, os_id), session.mixed_stacks.walk_native(os_id)


def _name(frame: MixedFrame, rows: FrameRows) -> str | None:
    """A managed frame's method; a native function; a helper of the runtime by the method it implements; nothing for other Frames."""
    if isinstance(frame, NativeFrame):
        return rows.name(frame)
    if isinstance(frame, ManagedFrame):
        return frame.method.full_name if frame.method is not None else f"<code at {frame.ip:#x}>"
    return frame.method.full_name if frame.method is not None and frame.method.kind == "internal call" else None
