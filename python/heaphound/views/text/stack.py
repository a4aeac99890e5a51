"""Stacks as text, one by one or merged."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.stack import ParallelRow, StackResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line
from heaphound.views.quantities import count
from heaphound.views.text.folding import Fold, fold, join
from heaphound.views.text.frames import native_thread_blocks, thread_blocks

IDS_SHOWN = 8
INDENT = "  "


def page(answer: Answer[StackResult]) -> Iterator[Block]:
    """Each thread with its frames, or the merged tree, outermost frames first."""
    result = answer.result
    for row in result.parallel or ():
        yield from _branch(row)
    blocks = [thread_blocks(thread) for thread in result.threads] + [native_thread_blocks(thread) for thread in result.native_threads]
    for index, thread in enumerate(blocks):
        if index:
            yield Line("")
        yield from thread
    if result.without_frames:
        yield Line("")
        yield Line(f"no managed frames: {_ids(result.without_frames)}", "dim")
    yield from coverage_blocks(answer.dump, answer.coverage)


def _branch(row: ParallelRow) -> Iterator[Block]:
    indent = INDENT * row.depth
    yield Line(
        f"{indent}{count(len(row.threads) + len(row.native_threads), 'thread')}: {_all_ids(row.threads, row.native_threads)}", "strong"
    )
    left_out = Fold(row.methods_left_out, frozenset(row.recursion_left_out)) if row.methods_left_out else None
    for item in join(fold(row.methods, str), left_out, fold(row.innermost_methods, str), str):
        if isinstance(item, Fold):
            yield Line(f"{indent}{INDENT}{item.words()}", "dim")
        else:
            yield Line(f"{indent}{INDENT}{item}")
    ends = (row.ends, row.native_ends)
    if any(ends) and ends != (row.threads, row.native_threads):
        yield Line(f"{indent}{INDENT}here ends {_all_ids(*ends)}", "dim")


def _all_ids(managed: tuple[int, ...], native: tuple[int, ...]) -> str:
    return " and ".join([*([_ids(managed)] if managed else []), *([f"native {_ids(native)}"] if native else [])])


def _ids(ids: tuple[int, ...]) -> str:
    shown = ", ".join(str(item) for item in ids[:IDS_SHOWN])
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"{'thread' if len(ids) == 1 else 'threads'} {shown}{more}"
