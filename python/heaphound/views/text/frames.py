"""Frames of a stack as text: repeated runs folded, so that a stack overflow fits a screen."""

from collections.abc import Iterator

from heaphound.results.stack import NativeThreadRow
from heaphound.results.threads import FrameRow, ThreadRow, WaitRow
from heaphound.views.page import Block, Cell, Line, Table, names
from heaphound.views.text.folding import Fold, fold, join
from heaphound.views.text.variables import variable_blocks

READERS_SHOWN = 8
_BOX = "AsyncStateMachineBox<"


def thread_blocks(thread: ThreadRow) -> Iterator[Block]:
    """A thread's heading, its frames, and why they end early."""
    name = "" if thread.name is None else f' "{thread.name}"'
    mode = "" if thread.gc_mode is None else f", {thread.gc_mode.lower()}"
    yield Line(f"thread {thread.managed_id} (os {thread.os_id}){name}: {thread.state}{mode}", "strong")
    if thread.waits is not None:
        yield Line(f"waits: {wait_words(thread.waits)}")
    if thread.exception is not None:
        yield Line(f"exception {thread.exception.type} at {thread.exception.address}")
    yield from _frame_blocks(thread)


def native_thread_blocks(thread: NativeThreadRow) -> Iterator[Block]:
    """The same of a thread that the runtime does not know."""
    yield Line(f"native thread (os {thread.os_id})", "strong")
    if thread.waits is not None:
        yield Line(f"waits: {wait_words(thread.waits)}")
    yield from _frame_blocks(thread)


def _frame_blocks(thread: ThreadRow | NativeThreadRow) -> Iterator[Block]:
    if thread.frames:
        left_out = Fold(thread.frames_left_out, frozenset(thread.methods_left_out)) if thread.frames_left_out else None
        inner, outer = fold(thread.frames, _key), fold(thread.outermost_frames, _key)
        rows = join(inner, left_out, outer, _key)
        if any(frame.arguments is not None or frame.references is not None for frame in thread.frames):
            for row in rows:
                yield from _with_variables(row)
        else:
            yield Table(names("SP", "IP", "Frame", "Source"), list(_cells(rows)))
    if thread.frames_left_out:
        yield Line("--limit 0 shows all frames", "dim")
    if thread.stack_end is not None:
        yield Line(f"the stack cannot be walked further: {thread.stack_end}", "warn")


def _with_variables(row: FrameRow | Fold) -> Iterator[Block]:
    """A frame on a line of its own, and below it what it holds."""
    if isinstance(row, Fold):
        yield Line(row.words(), "dim")
        return
    source = "" if row.file is None else f" {row.file}{'' if row.line is None else f':{row.line}'}"
    yield Line(f"{row.sp} {row.ip} {frame_words(row)}{source}", "strong")
    yield from variable_blocks(row)
    if row.problem is not None:
        yield Line(f"  {row.problem}", "warn")


def wait_words(wait: WaitRow) -> str:
    """``monitor enter of System.Object 0x7f..., held by thread 8``."""
    words = wait.kind
    if wait.object is not None:
        words += f" {wait.object}" if wait.kind == "native lock" else f" of {waited_type(wait.type) or 'object'} {wait.object}"
    elif wait.type is not None:
        words += f" of {wait.type}"
    return f"{words}{holder_words(wait)}"


def waited_type(name: str | None) -> str | None:
    """The name of a type; of the task of an async method the state machine alone, as the box around it says nothing."""
    return None if name is None else name.partition(_BOX)[2].removesuffix(">") or name


def holder_words(wait: WaitRow) -> str:
    """``, held by thread 8, which has ended``, ``, held for reading by threads 3, 4``, or nothing."""
    words = ""
    if wait.owner is not None:
        words = f", {wait.verb} thread {wait.owner}{', which has ended' if wait.owner_ended else ''}"
    elif wait.owner_os_id is not None:
        known = "a thread that has ended, os" if wait.owner_ended else "native thread"
        words = f", held by {known} {wait.owner_os_id}"
    if wait.readers:
        ids = ", ".join(str(item) for item in wait.readers[:READERS_SHOWN])
        more = len(wait.readers) - READERS_SHOWN
        words += f", held for reading by {'thread' if len(wait.readers) == 1 else 'threads'} {ids}{f' and {more} more' if more > 0 else ''}"
    return words


def frame_words(frame: FrameRow) -> str:
    """A managed frame by its method, a native one as ``libc.so.6!poll+0x4f``, a Frame of the runtime in brackets."""
    unwound = " [unwound]" if frame.unwound else ""
    if frame.kind in ("managed", "funclet"):
        return f"{frame.method or 'code without a name'}{' [handler]' if frame.kind == 'funclet' else ''}{unwound}"
    if frame.kind == "native":
        place = f"+{frame.offset:#x}" if frame.symbol is not None and frame.offset else ""
        return f"{frame.what}{place}{'' if frame.exact else ' [guess]'}"
    return f"[{frame.kind}{'' if frame.method is None else ': ' + frame.method}]{unwound}"


def _key(frame: FrameRow) -> str:
    return frame.what


def _cells(rows: Iterator[FrameRow | Fold]) -> Iterator[tuple[Cell, ...]]:
    for row in rows:
        if isinstance(row, Fold):
            yield None, None, row.words(), None
        else:
            yield row.sp, row.ip, frame_words(row), _source(row)


def _source(frame: FrameRow) -> str | None:
    if frame.problem is not None:
        return frame.problem
    if frame.file is None:
        return None
    return frame.file if frame.line is None else f"{frame.file}:{frame.line}"
