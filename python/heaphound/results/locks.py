"""Locks: who holds them, who waits, and cycles among those."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class LockRow:
    """One lock that is held or waited for."""

    kind: str
    """``monitor`` (a sync block), ``thin`` (in the object's header), or ``lock`` (a System.Threading.Lock)."""
    object: Address
    type: str | None
    owner: int | None
    """Managed id of the thread that holds it; None for a lock that nobody holds."""
    recursion: int = 0
    """How often the owner has entered; 1 for once."""
    entering: int = 0
    """Threads that wait to enter."""
    entering_threads: tuple[int, ...] = ()
    """Managed ids of those of them whose stack tells."""
    waiting_threads: tuple[int, ...] = ()
    """Managed ids of threads in Monitor.Wait."""
    sync_block: int | None = None
    """Index of the sync block; None for other kinds."""


@dataclass(frozen=True, slots=True)
class DeadlockStep:
    """A thread of a cycle, the lock that it waits for, and who holds that."""

    thread: int
    wants: Address
    type: str | None
    held_by: int


@dataclass(frozen=True, slots=True)
class LocksResult:
    """Locks in use, and deadlocks: each a cycle of threads, every one waiting for a lock of the next."""

    locks: tuple[LockRow, ...]
    deadlocks: tuple[tuple[DeadlockStep, ...], ...] = ()
    sync_blocks: int = 0
    """Sync blocks in use, those without a lock too (a hash code or interop data lies in them)."""
