"""Logical stacks of async methods as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, AsyncThreadRow, TasksResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Fact, Line
from heaphound.views.quantities import exact

FRAMES_SHOWN = 50
THREADS_SHOWN = 8


def page(answer: Answer[TasksResult]) -> Iterator[Block]:
    """How many wait, then each kind of stack, innermost method first."""
    result = answer.result
    yield Fact("Waiting", f"{result.waiting} async methods; {result.finished} have finished and are still on the heap")
    for stack in result.stacks:
        yield Line("")
        yield from _stack(stack)
    yield from left_out(result.left_out, "kind of stack")
    if result.cut:
        yield Line(f"{result.cut} more async methods were not looked at", "warn")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _stack(stack: AsyncStackRow) -> Iterator[Block]:
    kept = "" if stack.retained_bytes is None else f", keeping {exact(stack.retained_bytes)} alive"
    yield Line(f"{stack.count} x{kept}; the outermost of one is at {stack.frames[-1].address}", "strong")
    where = "" if stack.awaiting_address is None else f" ({stack.awaiting} {stack.awaiting_address})"
    yield Line(f"  waits for {stack.waits_for or stack.awaiting or 'something that no object on the heap leads to'}{where}")
    for thread in stack.running:
        yield Line(f"  runs on {_thread(thread)}", "warn")
    for frame in stack.frames[:FRAMES_SHOWN]:
        yield Line(f"  {_frame(frame)}")
    if len(stack.frames) > FRAMES_SHOWN:
        yield Line(f"  ... {len(stack.frames) - FRAMES_SHOWN} more", "dim")
    for thread in stack.blocked[:THREADS_SHOWN]:
        yield Line(f"  blocks {_thread(thread)}", "warn")
    if len(stack.blocked) > THREADS_SHOWN:
        yield Line(f"  blocks {len(stack.blocked) - THREADS_SHOWN} more threads", "warn")


def _thread(thread: AsyncThreadRow) -> str:
    name = "" if thread.name is None else f" {thread.name}"
    waits = "" if thread.waits is None else f", which waits: {thread.waits}"
    return f"thread {thread.managed_id} (os {thread.os_id}){name} in {thread.method or 'code that is not known'}{waits}"


def _frame(frame: AsyncFrameRow) -> str:
    if frame.kind == "suspended":
        source = "" if frame.file is None else f" in {frame.file}:{frame.line}"
        return f"{frame.method}{source} (suspended by the runtime at its await {frame.state})"
    if frame.kind != "method":
        return f"{frame.method}{' (ContinueWith)' if frame.kind == 'continuation' else ''}"
    line = frame.line if frame.await_line is None else frame.await_line
    source = "" if frame.file is None else f" in {frame.file}:{line}"
    return f"{frame.method}{source} ({_at(frame.state)})"


def _at(state: int | None) -> str:
    if state is None:
        return "at an unknown await"
    if state < -2:
        return "at a yield" if state < -3 else "not started"
    return "runs, or has not come to an await" if state < 0 else f"await {state}"
