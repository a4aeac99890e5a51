"""Managed threads as text."""

from collections.abc import Iterator

from heaphound.results.answer import Answer
from heaphound.results.threads import FrameRow, ThreadsResult
from heaphound.views.describe import coverage_blocks
from heaphound.views.page import Block, Line, Table, names


def page(answer: Answer[ThreadsResult]) -> Iterator[Block]:
    """Each thread with its frames below it."""
    for index, thread in enumerate(answer.result.threads):
        if index:
            yield Line("")
        name = "" if thread.name is None else f" {thread.name}"
        yield Line(f"thread {thread.managed_id} (os {thread.os_id}){name}: {thread.state}", "strong")
        if thread.frames:
            yield Table(
                names("IP", "SP", "Frame", "Source"),
                [(frame.ip, frame.sp, frame.method or frame.kind, _source(frame)) for frame in thread.frames],
            )
    yield from coverage_blocks(answer.dump, answer.coverage)


def _source(frame: FrameRow) -> str | None:
    if frame.file is None:
        return None
    return frame.file if frame.line is None else f"{frame.file}:{frame.line}"
