"""Progress on stderr: a bar with the time left on a terminal, a line now and then in a log, nothing for what is done in a second."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from heaphound.progress import Progress, silent

QUIET_SECONDS = 1.0
LINE_SECONDS = 10.0
REDRAW_SECONDS = 0.1


class LineProgress:
    """A line every ten seconds, for a stderr that is no terminal: a log shows that the program lives."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._phase: str | None = None
        self._phase_began = self._last_line = clock()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Write a line if the last one is old enough."""
        now = self._clock()
        if phase != self._phase:
            self._phase, self._phase_began = phase, now
        finished = 0 < total <= done
        if now - self._last_line >= LINE_SECONDS and not finished:
            self._last_line = now
            self._stream.write(f"{phase}{progress_words(done, total, now - self._phase_began)}\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing to clear."""


class BarProgress:
    """A bar per phase on a terminal, from the second second on, cleared when the work is done."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        # rich costs a tenth of a second to import; a run that ends before the bar appears need not pay it.
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._clock = clock
        self._began = self._drawn = clock()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._bar = RichProgress(*columns, console=Console(file=stream), transient=True, auto_refresh=False)
        self._task = self._bar.add_task("", total=None, visible=False)
        self._phase: str | None = None
        self._shown = False

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Redraw, at most ten times a second; phases of the first second are not shown."""
        now = self._clock()
        if now - self._began < QUIET_SECONDS or (phase == self._phase and now - self._drawn < REDRAW_SECONDS):
            return
        if not self._shown:
            self._bar.start()
            self._shown = True
        if phase != self._phase:
            self._phase = phase
            self._bar.reset(self._task, total=total or None, description=phase, visible=True)
        self._bar.update(self._task, completed=done, total=total or None)
        self._bar.refresh()
        self._drawn = now

    def close(self) -> None:
        """Clear the bar, so that an answer or an error stands alone."""
        if self._shown:
            self._bar.stop()


def progress_words(done: int, total: int, seconds: float) -> str:
    """``: 42 %, about 12 s left``; empty if the total is unknown."""
    if total <= 0:
        return " ..."
    left = f", about {seconds * (total - done) / done:.0f} s left" if done else ""
    return f": {100 * done // total} %{left}"


@contextmanager
def watching(stream: TextIO, wanted: bool) -> Iterator[Progress]:
    """The watcher that suits the stream, closed at the end whatever happens."""
    if not wanted:
        yield silent
        return
    watcher = BarProgress(stream) if stream.isatty() else LineProgress(stream)
    try:
        yield watcher
    finally:
        watcher.close()
