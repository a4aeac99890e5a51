"""Frames of a stack as text: repeated runs folded, so that a stack overflow fits a screen."""

from collections.abc import Iterator, Sequence

from heaphound.results.threads import FrameRow, ThreadRow, WaitRow
from heaphound.views.page import Block, Cell, Line, Table, names
from heaphound.views.quantities import count

LONGEST_CYCLE = 16  # methods that call each other in turn
REPEATS_SHOWN = 2
FOLDED_FROM = 5  # repetitions; fewer are shown as they are


def thread_blocks(thread: ThreadRow) -> Iterator[Block]:
    """A thread's heading, its frames, and why they end early."""
    name = "" if thread.name is None else f' "{thread.name}"'
    mode = "" if thread.gc_mode is None else f", {thread.gc_mode.lower()}"
    yield Line(f"thread {thread.managed_id} (os {thread.os_id}){name}: {thread.state}{mode}", "strong")
    if thread.waits is not None:
        yield Line(f"waits: {wait_words(thread.waits)}")
    if thread.exception is not None:
        yield Line(f"exception {thread.exception.type} at {thread.exception.address}")
    if thread.frames:
        yield Table(names("SP", "IP", "Frame", "Source"), list(_rows(thread.frames)))
    if thread.frames_left_out:
        yield Line(f"... {count(thread.frames_left_out, 'outer frame')} left out (--limit 0 shows all)", "dim")
    if thread.stack_end is not None:
        yield Line(f"the stack cannot be walked further: {thread.stack_end}", "warn")


def wait_words(wait: WaitRow) -> str:
    """``monitor enter of System.Object 0x7f..., held by thread 8``."""
    words = wait.kind
    if wait.object is not None:
        words += f" of {wait.type or 'object'} {wait.object}"
    return words if wait.owner is None else f"{words}, held by thread {wait.owner}"


def frame_words(frame: FrameRow) -> str:
    """A managed frame by its method, a Frame of the runtime in brackets."""
    if frame.kind in ("managed", "funclet"):
        return f"{frame.method or 'code without a name'}{' [handler]' if frame.kind == 'funclet' else ''}"
    return f"[{frame.kind}{'' if frame.method is None else ': ' + frame.method}]"


def _rows(frames: Sequence[FrameRow]) -> Iterator[tuple[Cell, ...]]:
    index = 0
    while index < len(frames):
        period, repeats = _cycle(frames, index)
        shown = period * (REPEATS_SHOWN if repeats >= FOLDED_FROM else 1)
        for frame in frames[index : index + shown]:
            yield frame.sp, frame.ip, frame_words(frame), _source(frame)
        index += shown
        if repeats >= FOLDED_FROM:
            left = repeats - REPEATS_SHOWN
            what = "frame" if period == 1 else f"{period} frames"
            yield None, None, f"... the same {what} {left} times more", None
            index += left * period


def _cycle(frames: Sequence[FrameRow], start: int) -> tuple[int, int]:
    """(period, repetitions) of the shortest run of frames from `start` on that comes often enough to fold; (1, 1) for none."""
    for period in range(1, LONGEST_CYCLE + 1):
        repeats = 1
        while all(_alike(frames, start + offset, start + repeats * period + offset) for offset in range(period)):
            repeats += 1
        if repeats >= FOLDED_FROM:
            return period, repeats
    return 1, 1


def _alike(frames: Sequence[FrameRow], one: int, other: int) -> bool:
    if other >= len(frames):
        return False
    return (frames[one].kind, frames[one].ip, frames[one].method) == (frames[other].kind, frames[other].ip, frames[other].method)


def _source(frame: FrameRow) -> str | None:
    if frame.problem is not None:
        return frame.problem
    if frame.file is None:
        return None
    return frame.file if frame.line is None else f"{frame.file}:{frame.line}"
