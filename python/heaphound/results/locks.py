"""Locks: who holds them, who waits, and cycles among those."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class LockRow:
    """One lock that is held or waited for."""

    kind: str
    """``monitor`` (a sync block), ``thin`` (in the object's header), ``lock`` (a System.Threading.Lock), ``reader-writer lock``; or what
    else threads wait for, as in WaitRow: ``semaphore``, ``event``, ``task``, ``thread join``, ``type initializer``, ``native lock`` ..."""
    object: Address | None
    """None for a type initializer."""
    type: str | None
    owner: int | None
    """Managed id of the thread that holds it, as in WaitRow; None for a lock that nobody holds, or that does not record who does."""
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
    owner_ended: bool = False
    """Whether the owner has ended, so that it never lets go."""
    readers: tuple[int, ...] = ()
    """Managed ids of the threads that hold a reader-writer lock for reading."""
    owner_os_id: int | None = None
    """As in WaitRow."""
    inside: str | None = None
    """Of a monitor that is a part of something else the kind of that, as in WaitRow: what its threads wait for in truth."""


@dataclass(frozen=True, slots=True)
class DeadlockStep:
    """A thread of a cycle, the lock that it waits for, and who holds that."""

    thread: int
    wants: Address | None
    """None for a type initializer."""
    type: str | None
    held_by: int
    """Managed id of the thread that holds it, runs it or, of ``thread join``, is it."""
    kind: str = "monitor enter"
    """As in WaitRow."""


@dataclass(frozen=True, slots=True)
class LocksResult:
    """Locks in use, and deadlocks: each a cycle of threads, every one waiting for a lock of the next."""

    locks: tuple[LockRow, ...]
    deadlocks: tuple[tuple[DeadlockStep, ...], ...] = ()
    sync_blocks: int = 0
    """Sync blocks in use, those without a lock too (a hash code or interop data lies in them)."""
    behind: tuple[tuple[int, ...], ...] = ()
    """For each of `deadlocks` the managed ids of threads outside of it that wait for one of its threads, or for one that does."""
