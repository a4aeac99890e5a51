"""Progress is seen by whoever waits, and only then."""

from io import StringIO

from heaphound.cli.progress import BarProgress, LineProgress, progress_words, watching
from heaphound.progress import silent
from tests.unit.cli.run import Terminal, run


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_ten_seconds() -> None:
    stream, clock = StringIO(), Clock()
    progress = LineProgress(stream, clock)
    for second in range(25):
        clock.now = float(second)
        progress("walking the heap", second, 100)
    assert stream.getvalue() == "walking the heap: 10 %, about 90 s left\nwalking the heap: 20 %, about 80 s left\n"


def test_a_log_gets_no_line_for_what_is_done() -> None:
    stream, clock = StringIO(), Clock()
    progress = LineProgress(stream, clock)
    clock.now = 60.0
    progress("looking for leaks", 1, 1)
    assert stream.getvalue() == ""


def test_what_is_done_in_a_second_shows_no_bar() -> None:
    stream, clock = Terminal(), Clock()
    progress = BarProgress(stream, clock)
    clock.now = 0.9
    progress("walking the heap", 99, 100)
    progress.close()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    stream, clock = Terminal(), Clock()
    progress = BarProgress(stream, clock)
    clock.now = 2.0
    progress("walking the heap", 50, 100)
    assert "walking the heap" in stream.getvalue()
    assert "50%" in stream.getvalue()
    before = len(stream.getvalue())
    progress("walking the heap", 51, 100)
    assert len(stream.getvalue()) == before, "redrawn twice in a tenth of a second"
    progress.close()


def test_words() -> None:
    assert progress_words(0, 0, 5.0) == " ..."
    assert progress_words(0, 10, 5.0) == ": 0 %"
    assert progress_words(5, 10, 5.0) == ": 50 %, about 5 s left"


def test_nothing_when_not_wanted() -> None:
    with watching(Terminal(), wanted=False) as progress:
        assert progress is silent


def test_a_short_run_leaves_stderr_empty() -> None:
    assert run("info", "core").err == ""
