"""Managed threads as text: one line each; `stack` shows their frames."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.threads import ThreadRow, ThreadsResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line, Size, Table, names, numbers
from heaphound.views.quantities import count
from heaphound.views.text.frames import wait_words

BACKSLASH = "\\"  # of source files that were compiled on Windows
RUNTIME_NAMES = ("System.", "Interop", "Microsoft.Win32.", "ILStubClass.")


def page(answer: Answer[ThreadsResult]) -> Iterator[Block]:
    """A table of threads, then how to see more."""
    signal = answer.result.signal
    if signal is not None:
        thread = "a thread that the runtime does not know" if signal.managed_id is None else f"thread {signal.managed_id}"
        at = "" if signal.address is None else f" at address {signal.address}"
        yield Line(f"The process ended by {signal.name}{at}, in {thread} (os {signal.os_id})", "strong")
        if signal.fail_fast:
            yield Line(f"  which called Environment.FailFast; its message: heaphound stack CORE {signal.managed_id} -a --strings")
        elif signal.exception is not None:
            words = f"{signal.exception.type or 'an exception'} {signal.exception.address}"
            yield Line(f"  in which {words} was thrown; where: heaphound exceptions CORE")
        yield Line("")
    yield from _unsignalled(answer.result)
    retained = any(thread.retained_bytes is not None for thread in answer.result.threads)
    rows = [
        (
            thread.managed_id,
            thread.os_id or None,
            thread.name,
            thread.state,
            thread.gc_mode,
            len(thread.locks) or None,  # one that nobody ever waited for lies in its object's header: `locks` looks there
            *((None if thread.retained_bytes is None else Size(thread.retained_bytes),) if retained else ()),
            None if thread.exception is None else thread.exception.type,
            None if thread.waits is None else wait_words(thread.waits),
            _place(thread),
        )
        for thread in answer.result.threads
    ]
    columns = (
        *numbers("Id", "OS id"),
        *names("Name", "State", "GC mode"),
        *numbers("Locks", *(["Retained"] if retained else [])),
        *names("Exception", "Waits for", "In"),
    )
    yield Table(columns, rows)
    yield Line("")
    yield Line(_counts(answer.result.threads))
    yield Line("Frames: heaphound stack CORE [ID]; all stacks merged: heaphound stack CORE --parallel", "dim")
    if any(thread.waits is not None and thread.waits.kind == "task" for thread in answer.result.threads):
        yield Line("What threads that wait for a task wait for in the end: heaphound tasks CORE", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _unsignalled(result: ThreadsResult) -> Iterator[Block]:
    """What createdump of 3.1 and 6.0 does not write: that the process was ending, by the thread that waits for createdump."""
    for thread in result.threads if result.signal is None else ():
        if thread.waits is not None and thread.waits.kind == "createdump" and thread.exception is not None:
            words = f"{thread.exception.type or 'an exception'} {thread.exception.address}"
            yield Line(
                f"The process was ending: in thread {thread.managed_id} {words} was thrown; where: heaphound exceptions CORE", "strong"
            )
            yield Line("")


def _counts(threads: tuple[ThreadRow, ...]) -> str:
    """``12 threads: 3 foreground, 8 background (2 pool workers), 1 dead``."""
    words = [thread.state.split(", ") for thread in threads]
    gone = {word: sum(word in state for state in words) for word in ("dead", "unstarted")}
    alive = [state for state in words if "dead" not in state and "unstarted" not in state]
    background = [state for state in alive if "background" in state]
    workers = sum("pool worker" in state or "completion port" in state for state in background)
    pool = f" ({count(workers, 'pool worker')})" if workers else ""
    parts = [f"{len(alive) - len(background)} foreground", f"{len(background)} background{pool}"]
    parts += [f"{number} {word}" for word, number in gone.items() if number]
    return f"{count(len(threads), 'thread')}: {', '.join(parts)}"


def _place(thread: ThreadRow) -> str | None:
    """The innermost method that is the program's own with its source line, else the innermost of all."""
    frames = [frame for frame in thread.frames if frame.method is not None]
    own = next((frame for frame in frames if not (frame.method or "").startswith(RUNTIME_NAMES)), None)
    if own is None:
        return frames[0].method if frames else thread.stack_end
    return own.method if own.file is None else f"{own.method} ({own.file.rpartition('/')[2].rpartition(BACKSLASH)[2]}:{own.line})"
