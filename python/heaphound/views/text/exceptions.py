"""Exceptions as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.exceptions import ExceptionRow, ExceptionsResult
from heaphound.views.describe import coverage_blocks, left_out
from heaphound.views.page import Block, Line, Table, names, numbers

FRAMES_SHOWN = 30
INNERS_SHOWN = 10
IN_ADVANCE = ("System.OutOfMemoryException", "System.StackOverflowException", "System.ExecutionEngineException")


def page(answer: Answer[ExceptionsResult]) -> Iterator[Block]:
    """Each exception with the stack it was thrown through, then counts by type."""
    result = answer.result
    in_advance = [row for row in result.exceptions if _made_in_advance(row)]
    for row in result.exceptions:
        if row not in in_advance:
            yield from _exception(row)
            yield Line("")
    if in_advance:
        made = ", ".join(f"{row.type} {row.address}" for row in in_advance)
        yield Line(f"Made by the runtime in advance, and not thrown: {made}", "dim")
        yield Line("")
    yield from left_out(result.left_out, "exception")
    if result.types:
        yield Table((*numbers("Count"), *names("Type")), [(row.count, row.type) for row in result.types])
    elif answer.coverage.walked_bytes == answer.coverage.heap_bytes and not answer.coverage.gaps:
        yield Line("No exception object is on the heap.")
    else:
        yield Line("No thread holds an exception, and none is in the part of the heap that could be read.")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _made_in_advance(row: ExceptionRow) -> bool:
    """Whether it is one of those that the runtime makes when it starts (src/coreclr/vm/appdomain.cpp, CreatePreallocatedExceptions)."""
    return row.type in IN_ADVANCE and not (row.frames or row.threads or row.message_characters or row.inner or row.problem)


def _exception(row: ExceptionRow) -> Iterator[Block]:
    held = "" if not row.threads else f", of thread {', '.join(str(thread) for thread in row.threads)}"
    code = "" if row.hresult is None else f" (HRESULT {row.hresult:#010x})"
    yield Line(f"{row.type} {row.address}{code}{held}", "strong")
    if row.message is not None:
        yield Line(f"  {row.message}")
    elif row.message_characters:
        yield Line(f"  message of {row.message_characters} characters (--strings shows it)", "dim")
    inners = row.inners or (() if row.inner is None else (row.inner,))
    if inners:
        shown = ", ".join(str(address) for address in inners[:INNERS_SHOWN])
        others = f" and {len(inners) - INNERS_SHOWN} more" if len(inners) > INNERS_SHOWN else ""
        yield Line(f"  inner {'exception' if len(inners) == 1 else 'exceptions'} {shown}{others}")
    for frame in row.frames[:FRAMES_SHOWN]:
        source = "" if frame.file is None else f" in {frame.file}:{frame.line}"
        yield Line(f"  at {frame.method or frame.ip}{source}")
    more = len(row.frames) + row.frames_left_out - FRAMES_SHOWN
    if more > 0:
        yield Line(f"  ... {more} more frames", "dim")
    if row.problem is not None:
        yield Line(f"  its stack trace cannot be read: {row.problem}", "warn")
