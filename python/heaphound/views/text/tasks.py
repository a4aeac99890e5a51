"""Logical stacks of async methods as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, TasksResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Fact, Line
from heaphound.views.quantities import exact

FRAMES_SHOWN = 50


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
    where = "" if stack.awaiting_address is None else f" {stack.awaiting_address}"
    yield Line(f"  waits for {stack.awaiting or 'something that no object on the heap leads to'}{where}")
    for frame in stack.frames[:FRAMES_SHOWN]:
        yield Line(f"  {_frame(frame)}")
    if len(stack.frames) > FRAMES_SHOWN:
        yield Line(f"  ... {len(stack.frames) - FRAMES_SHOWN} more", "dim")


def _frame(frame: AsyncFrameRow) -> str:
    source = "" if frame.file is None else f" in {frame.file}:{frame.line}"
    at = "at an unknown await" if frame.state is None else "not yet at an await" if frame.state < 0 else f"await {frame.state}"
    return f"{frame.method}{source} ({at})"
