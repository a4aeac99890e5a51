"""Managed threads as text: one line each; `stack` shows their frames."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.threads import ThreadRow, ThreadsResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line, Size, Table, names, numbers
from heaphound.views.text.frames import wait_words

RUNTIME_NAMES = ("System.", "Interop", "Microsoft.Win32.", "ILStubClass.")


def page(answer: Answer[ThreadsResult]) -> Iterator[Block]:
    """A table of threads, then how to see more."""
    signal = answer.result.signal
    if signal is not None:
        thread = "a thread that the runtime does not know" if signal.managed_id is None else f"thread {signal.managed_id}"
        at = "" if signal.address is None else f" at address {signal.address}"
        yield Line(f"The process ended by {signal.name}{at}, in {thread} (os {signal.os_id})", "strong")
        yield Line("")
    retained = any(thread.retained_bytes is not None for thread in answer.result.threads)
    rows = [
        (
            thread.managed_id,
            thread.os_id or None,
            thread.name,
            thread.state,
            thread.gc_mode,
            len(thread.locks),
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
    yield Line("Frames: heaphound stack CORE [ID]; all stacks merged: heaphound stack CORE --parallel", "dim")
    if any(thread.waits is not None and thread.waits.kind == "task" for thread in answer.result.threads):
        yield Line("What threads that wait for a task wait for in the end: heaphound tasks CORE", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _place(thread: ThreadRow) -> str | None:
    """The innermost method that is the program's own, else the innermost of all."""
    methods = [frame.method for frame in thread.frames if frame.method is not None]
    own = next((method for method in methods if not method.startswith(RUNTIME_NAMES)), None)
    return own or next(iter(methods), thread.stack_end)
