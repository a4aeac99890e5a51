"""What other commands know of the dump and rules ask for: who waits, who holds which lock, where memory went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from heaphound.results.heap import HeapResult
from heaphound.results.locks import LocksResult
from heaphound.results.memory import MemoryResult
from heaphound.results.tasks import TasksResult
from heaphound.results.threads import ThreadRow


@dataclass(frozen=True)
class Observed:
    """Each is found out when it is first asked for, and raises HeaphoundError where the dump lacks it."""

    tasks: Callable[[], TasksResult]
    """Async methods that wait."""
    threads: Callable[[], Sequence[ThreadRow]]
    """Managed threads with their frames and what they wait for."""
    locks: Callable[[], LocksResult]
    """Locks and deadlocks."""
    memory: Callable[[], MemoryResult]
    """Every byte of the dump by its use, with the ranges."""
    heap: Callable[[], HeapResult]
    """Segments or regions, and objects and free blocks by generation."""
    malloc_blocks: Callable[[], Mapping[int, int]]
    """Blocks of glibc's brk heap in use: how many of each size in bytes; empty where there is none."""
