"""Run a function in a forked child with limits of time and memory: what it was given is there already, what it breaks is gone with it."""

import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import Generic, TypeVar

ResultT = TypeVar("ResultT")
MEMORY_BYTES = 4 << 30  # beyond what the process has when it forks
READ_BYTES = 1 << 20


class ChildEnded(Exception):
    """The child had no answer: it took too long, or it died. The message says which."""


class Child(Generic[ResultT]):
    """Runs functions without arguments whose results can be pickled. Nothing may have started threads before."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def run(self, work: Callable[[], ResultT]) -> ResultT:
        """What `work` returns. Raises ChildEnded."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _answer(work, writing)
        os.close(writing)
        try:
            answer = self._read(reading)
        finally:
            os.close(reading)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        if answer is None:
            raise ChildEnded(f"no answer in {self._seconds:g} s")
        if not answer:
            raise ChildEnded(f"died: wait status {status}")
        ended, result = pickle.loads(answer)
        if ended is not None:
            raise ChildEnded(ended)
        return result  # type: ignore[no-any-return]

    def _read(self, reading: int) -> bytes | None:
        """All that the child writes; None when it takes too long."""
        deadline, parts = time.monotonic() + self._seconds, list[bytes]()
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                return None
            part = os.read(reading, READ_BYTES)
            if not part:
                return b"".join(parts)
            parts.append(part)


def _answer(work: Callable[[], ResultT], writing: int) -> None:
    """In the child: work, write, and be gone, whatever happens."""
    try:
        limit = _address_space_bytes() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            answer = pickle.dumps((None, work()))
        except BaseException as error:  # noqa: BLE001 - named to the parent, which counts it as a failure
            answer = pickle.dumps((f"broke off: {type(error).__name__}: {error}"[:500], None))
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def _address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[0]) * resource.getpagesize()
