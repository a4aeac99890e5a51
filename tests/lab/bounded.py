"""Runs one call within bounds that no machine's speed or size moves: calls that it makes, and memory that it asks for."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from heaphound.errors import HeaphoundError

CALLS = (
    4_000_000  # of one broken table: 60,000 live slots, near the limit, take 1,700,000; what real tables become when broken, up to 300,000
)
BYTES = 512 << 20


class TooManyCalls(Exception):
    """What was called makes more calls than the bound."""


@dataclass
class Bounded:
    """A context that swallows the errors raised in it, and tells of those that are not the package's own."""

    bound: int = CALLS
    """Calls that it may make."""
    calls: int = 0
    """Calls of Python and C functions so far."""
    seconds: float = 0.0
    """Of processor time."""
    problem: str | None = None
    """The error that should not have come, and where; None for none."""

    def __enter__(self) -> "Bounded":
        self._begin = time.process_time()
        sys.setprofile(self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        sys.setprofile(None)
        self.seconds = time.process_time() - self._begin
        if error is None or isinstance(error, HeaphoundError):
            return True
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of the kernel
            return False
        self.problem = f"{type(error).__name__}: {error} at {_place(trace)}"
        return True

    def _count(self, _: FrameType, event: str, __: Any) -> None:
        if event in ("call", "c_call"):
            self.calls += 1
            if self.calls > self.bound:
                raise TooManyCalls(f"more than {self.bound} calls")


def _place(trace: TracebackType | None) -> str:
    """File and line that it was raised at."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


@contextmanager
def bounded_memory(more_bytes: int = BYTES) -> Iterator[None]:
    """In it the process may take that much more memory than it has; what asks for more gets a MemoryError."""
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))
