"""Threads that wait, in words: in which method of the program, for what, and who has it."""

from collections.abc import Iterable, Sequence

from heaphound.diagnose.code_places import file_name
from heaphound.results.analyze import CodeSite
from heaphound.results.threads import FrameRow, ThreadRow
from heaphound.runtime.framework import is_framework

MANAGED = ("managed", "funclet")


def own_frame(thread: ThreadRow) -> FrameRow | None:
    """The innermost frame of the program's own code; None where there is none."""
    return next((frame for frame in thread.frames if frame.kind in MANAGED and frame.method and not is_framework(frame.method)), None)


def thread_words(thread: ThreadRow) -> str:
    """`thread 4 (pool-cleaner)`."""
    return f"thread {thread.managed_id}" + (f" ({thread.name})" if thread.name else "")


def waits_words(thread: ThreadRow, threads: Sequence[ThreadRow]) -> str:
    """`waits for the lock of System.Object 0x7f..., held by thread 4 (pool-cleaner), which is in Shop.Pool.Clean() (sleep)`."""
    waits, frame = thread.waits, own_frame(thread)
    place = "" if frame is None else f" in {frame.method}{_line(frame)}"
    if waits is None:
        return f"{thread_words(thread)} runs{place}, or waits in a way that is not known"
    what = f"{waits.kind}{f' of {waits.type}' if waits.type else ''}"
    if waits.object is not None:
        what = f"{waits.kind} of {waits.type or 'an object'} {waits.object}"
    words = f"{thread_words(thread)} waits{place}: {what}"
    holder = waits.owner if waits.owner is not None else next(iter(waits.readers), None)
    owner = next((other for other in threads if holder is not None and other.managed_id == holder), None)
    if owner is None:
        return words
    doing, held = own_frame(owner), "" if owner.waits is None else f" ({owner.waits.kind})"
    return f"{words}, {waits.verb} {thread_words(owner)}" + ("" if doing is None else f", which is in {doing.method}{_line(doing)}{held}")


def blocking_code(threads: Iterable[ThreadRow], limit: int) -> tuple[CodeSite, ...]:
    """The places of the program's own code in which threads wait, each once."""
    rows: dict[tuple[str | None, int | None], CodeSite] = {}
    for thread in threads:
        frame = own_frame(thread)
        if frame is not None and thread.waits is not None:
            rows.setdefault((frame.method, frame.il_offset), _row(frame, thread.waits.kind))
    return tuple(rows.values())[:limit]


def _row(frame: FrameRow, kind: str) -> CodeSite:
    method = frame.method or ""
    return CodeSite(
        role="blocks",
        method=method,
        declaring_type=method.partition("(")[0].rpartition(".")[0],
        module=frame.module or "",
        file=None if frame.file is None else file_name(frame.file),
        line=frame.line,
        il_offset=frame.il_offset,
        evidence=f"waits here: {kind}",
    )


def _line(frame: FrameRow) -> str:
    return "" if frame.file is None else f" ({file_name(frame.file)}:{frame.line})"
