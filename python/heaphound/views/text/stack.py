"""Stacks as text, one by one or merged."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.stack import ParallelRow, StackResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line
from heaphound.views.quantities import count
from heaphound.views.text.frames import thread_blocks

IDS_SHOWN = 8
INDENT = "  "
METHODS_SHOWN = 200  # of one run of frames


def page(answer: Answer[StackResult]) -> Iterator[Block]:
    """Each thread with its frames, or the merged tree, outermost frames first."""
    result = answer.result
    for row in result.parallel or ():
        yield from _branch(row)
    for index, thread in enumerate(result.threads):
        if index:
            yield Line("")
        yield from thread_blocks(thread)
    if result.without_frames:
        yield Line("")
        yield Line(f"no managed frames: {_ids(result.without_frames)}", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _branch(row: ParallelRow) -> Iterator[Block]:
    indent = INDENT * row.depth
    yield Line(f"{indent}{count(len(row.threads), 'thread')}: {_ids(row.threads)}", "strong")
    for method in row.methods[:METHODS_SHOWN]:
        yield Line(f"{indent}{INDENT}{method}")
    if len(row.methods) > METHODS_SHOWN:
        yield Line(f"{indent}{INDENT}... {count(len(row.methods) - METHODS_SHOWN, 'frame')} more", "dim")
    if row.ends and row.ends != row.threads:
        yield Line(f"{indent}{INDENT}here ends {_ids(row.ends)}", "dim")


def _ids(ids: tuple[int, ...]) -> str:
    shown = ", ".join(str(item) for item in ids[:IDS_SHOWN])
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"{'thread' if len(ids) == 1 else 'threads'} {shown}{more}"
