"""Logical stacks of async methods as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.object import StructValue
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, AsyncThreadRow, FaultRow, TaskCounts, TasksResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Fact, Line, Table, names
from heaphound.views.quantities import count, exact, share
from heaphound.views.text.folding import Fold, fold, join
from heaphound.views.text.values import field_rows, value_words

FRAMES_SHOWN = 50
THREADS_SHOWN = 8
FAULTS_SHOWN = 8


def page(answer: Answer[TasksResult]) -> Iterator[Block]:
    """How many wait, then each kind of stack, innermost method first."""
    result = answer.result
    yield Fact("Waiting", _waiting(answer))
    if result.counts is not None:
        yield Fact("Tasks", _tasks(result.counts))
    yield from _faults(result.faults)
    for stack in result.stacks:
        yield Line("")
        yield from _stack(stack)
    yield from left_out(result.left_out, "different stack")
    if result.cut:
        yield Line(f"{result.cut:,} more async methods or stacks were not looked at", "warn")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _waiting(answer: Answer[TasksResult]) -> str:
    result, coverage = answer.result, answer.coverage
    if result.waiting is None or result.finished is None:
        return "not known: nothing of the heap is in this file"
    least = (
        "" if coverage.walked_bytes == coverage.heap_bytes else f" in the {share(coverage.walked_bytes, coverage.heap_bytes)} of the heap"
    )
    return f"{count(result.waiting, 'async method')}{least and f'{least} that are in this file'}; {result.finished:,} ended and still there"


def _tasks(counts: TaskCounts) -> str:
    told = (
        (counts.promised, "to be completed by somebody"),
        (counts.running, "running"),
        (counts.queued, "queued"),
        (counts.waiting_for_children, "waiting for child tasks"),
        (counts.created, "never started"),
        (counts.completed, "completed"),
        (counts.faulted, "failed"),
        (counts.cancelled, "cancelled"),
    )
    return ", ".join(f"{number:,} {words}" for number, words in told if number) or "none"


def _faults(faults: tuple[FaultRow, ...]) -> Iterator[Fact]:
    for fault in faults[:FAULTS_SHOWN]:
        unobserved = f", {fault.unobserved:,} of them observed by nobody" if fault.unobserved else ""
        exception = "" if fault.exception is None else f"; exception {fault.exception}"
        yield Fact("Failed", f"{fault.count:,} x {fault.type}{unobserved} (task {fault.task}{exception})")
    if len(faults) > FAULTS_SHOWN:
        yield Fact("Failed", f"with {count(len(faults) - FAULTS_SHOWN, 'more type')} of exceptions: --json lists them all")


def _stack(stack: AsyncStackRow) -> Iterator[Block]:
    yield Line(f"{_count(stack)}{_kept(stack)}{_place(stack)}", "strong")
    where = "" if stack.awaiting_address is None else f" ({stack.awaiting} {stack.awaiting_address})"
    several = f"; {stack.awaiting_count:,} different ones, this is the first" if stack.awaiting_count > 1 else ""
    yield Line(f"  waits for {stack.waits_for or stack.awaiting or 'something that no object on the heap leads to'}{where}{several}")
    for thread in stack.running:
        yield Line(f"  runs on {_thread(thread)}", "warn")
    yield from _frames(stack)
    for thread in stack.blocked[:THREADS_SHOWN]:
        yield Line(f"  blocks {_thread(thread)}{_reach(stack, thread)}", "warn")
    if len(stack.blocked) > THREADS_SHOWN:
        yield Line(f"  blocks {len(stack.blocked) - THREADS_SHOWN} more threads", "warn")


def _count(stack: AsyncStackRow) -> str:
    outermost = stack.outermost_count
    return f"{stack.count:,} x" if outermost in (None, stack.count) else f"{stack.count:,} x below {outermost:,} outermost"


def _kept(stack: AsyncStackRow) -> str:
    return "" if stack.retained_bytes is None or not stack.frames else f", keeping {exact(stack.retained_bytes)} alive"


def _place(stack: AsyncStackRow) -> str:
    return (
        f"; the outermost of one is at {stack.frames[-1].address}"
        if stack.frames
        else ", no async method: a thread waits for a task itself"
    )


def _frames(stack: AsyncStackRow) -> Iterator[Block]:
    """The frames, recursion folded; with their variables one by one."""
    if any(frame.variables is not None for frame in stack.frames):
        for number, frame in enumerate(stack.frames[:FRAMES_SHOWN]):
            if number and number == len(stack.frames) - 1 and stack.frames_left_out:
                yield Line(f"  ... {stack.frames_left_out} more", "dim")
            yield Line(f"  {_frame(frame)}")
            yield from _variables(frame)
        if len(stack.frames) > FRAMES_SHOWN:
            yield Line(f"  ... {len(stack.frames) - FRAMES_SHOWN + stack.frames_left_out} more", "dim")
        return
    rows = [_frame(frame) for frame in stack.frames]
    inner, outer = (rows[:-1], rows[-1:]) if stack.frames_left_out else (rows, [])
    left_out = Fold(stack.frames_left_out, frozenset()) if stack.frames_left_out else None
    folded = list(join(fold(inner, str), left_out, outer, str))
    for row in folded[:FRAMES_SHOWN]:
        yield Line(f"  {row.words()}", "dim") if isinstance(row, Fold) else Line(f"  {row}")
    more = sum(row.frames if isinstance(row, Fold) else 1 for row in folded[FRAMES_SHOWN:])
    if more:
        yield Line(f"  ... {more} more", "dim")


def _variables(frame: AsyncFrameRow) -> Iterator[Block]:
    shown = [row for row in frame.variables or () if row.kind != "temporary"]
    rows: list[tuple[str, str, str, str]] = []
    for row in shown:
        rows.append((f"    {row.kind}", row.name, value_words(row.value), row.type))
        if isinstance(row.value, StructValue) and row.value.text is None:
            inner = field_rows(row.value.fields)
            rows += [("    ", f"{row.name}.{field}", value, kind) for _, field, value, kind, _ in inner]
    if rows:
        yield Table(names("    ", "Name", "Value", "Type"), rows)
    hidden = len(frame.variables or ()) - len(shown)
    if hidden:
        yield Line(f"    {count(hidden, 'value')} that the compiler keeps for itself: --json has them", "dim")


def _reach(stack: AsyncStackRow, thread: AsyncThreadRow) -> str:
    """What of the stack it waits for, if that is not the outermost method."""
    if thread.task is None or not stack.frames or thread.task == stack.frames[-1].address:
        return ""
    if thread.task == stack.awaiting_address:
        return " (for the same)"
    return f" (for {thread.task})"


def _thread(thread: AsyncThreadRow) -> str:
    name = "" if thread.name is None else f" {thread.name}"
    waits = "" if thread.waits is None else f", which waits: {thread.waits}"
    return f"thread {thread.managed_id} (os {thread.os_id}){name} in {thread.method or 'code that is not known'}{waits}"


def _frame(frame: AsyncFrameRow) -> str:
    if frame.kind == "suspended":
        source = "" if frame.file is None else f" in {frame.file}:{frame.line}"
        return f"{frame.method}{source} (suspended by the runtime at its await {frame.state})"
    if frame.kind != "method":
        note = "ContinueWith" if frame.kind == "continuation" else frame.note
        return f"{frame.method}{'' if note is None else f' ({note})'}"
    line = frame.line if frame.await_line is None else frame.await_line
    source = "" if frame.file is None else f" in {frame.file}:{line}"
    return f"{frame.method}{source} ({_at(frame.state)})"


def _at(state: int | None) -> str:
    if state is None:
        return "at an unknown await"
    if state < -2:
        return "at a yield" if state < -3 else "not started"
    return "runs, or has not come to an await" if state < 0 else f"await {state}"
