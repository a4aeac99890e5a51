"""The directory that keeps runtimes, dumps and recorded answers between test runs."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def cache_directory() -> Path:
    """`$HEAPHOUND_TEST_CACHE`, else `~/.cache/heaphound-tests`; made when absent. Needs about 9 GB for the whole suite."""
    chosen = os.environ.get("HEAPHOUND_TEST_CACHE")
    directory = Path(chosen) if chosen else Path.home() / ".cache" / "heaphound-tests"
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock `name`, across processes, so that two test runs never make the same thing at once."""
    locks = cache_directory() / "locks"
    locks.mkdir(exist_ok=True)
    with open(locks / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal. A dump's content never changes once made, so one reading per run is enough."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
