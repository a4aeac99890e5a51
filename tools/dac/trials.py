"""Runs many small jobs in forked children: one that dies or takes too long costs only itself, and the next child goes on behind it."""

import os
import pickle
import resource
import select
import signal
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")
SECONDS = 5.0  # for one job; a call of the DAC takes some milliseconds
MEMORY_BYTES = 2 << 30  # beyond what the process has when it forks
_HEAD = struct.Struct("<II")  # number of the job, bytes of its result


def run_trials(jobs: Sequence[JobT], work: Callable[[JobT], ResultT]) -> list[ResultT | None]:
    """What `work` gives for each job, None where the child died of it or gave no answer in time. No thread may have been started before."""
    results: list[ResultT | None] = [None] * len(jobs)
    first = 0
    while first < len(jobs):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _work_from(first, jobs, work, writing)
        os.close(writing)
        try:
            with os.fdopen(reading, "rb", buffering=0) as pipe:
                while (answer := _next(pipe.fileno())) is not None:
                    first, raw = answer
                    results[first] = pickle.loads(raw)
                    first += 1
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if first < len(jobs):
            first += 1  # the one that the child died of
    return results


def _work_from(first: int, jobs: Sequence[JobT], work: Callable[[JobT], ResultT], writing: int) -> None:
    """In the child: every job from `first` on, each result written as soon as it is there."""
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)  # what a library says while it dies
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = _address_space_bytes() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for index in range(first, len(jobs)):
            raw = pickle.dumps(work(jobs[index]))
            message = _HEAD.pack(index, len(raw)) + raw
            while message:
                message = message[os.write(writing, message) :]
    finally:
        os._exit(0)


def _next(reading: int) -> tuple[int, bytes] | None:
    """The number and the result of the next job; None when the child has ended or is stuck."""
    head = _exactly(reading, _HEAD.size)
    if head is None:
        return None
    index, size = _HEAD.unpack(head)
    raw = _exactly(reading, size)
    return None if raw is None else (index, raw)


def _exactly(reading: int, size: int) -> bytes | None:
    parts = b""
    while len(parts) < size:
        if not select.select([reading], [], [], SECONDS)[0]:
            return None
        part = os.read(reading, size - len(parts))
        if not part:
            return None
        parts += part
    return parts


def _address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[0]) * resource.getpagesize()
