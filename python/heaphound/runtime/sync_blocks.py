"""Locks: sync blocks with their monitor's owner and waiters, and thin locks in object headers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.threads import Thread

MAXIMUM_SYNC_BLOCKS = 1 << 26  # MASK_SYNCBLOCKINDEX of src/coreclr/vm/syncblk.h
INITIAL_TABLE_SIZE = 250  # SYNC_TABLE_INITIAL_SIZE; entry 0 is never in use
MAXIMUM_WAITERS = 4_194_304  # no more than threads
IS_LOCKED = 1  # AwareLock::LockState, src/coreclr/vm/syncblk.h: bit 0 locked, waiters counted from bit 6 up
WAITER_COUNT_SHIFT = 6
HEADER_BYTES = 4


@dataclass(frozen=True, slots=True)
class SyncBlock:
    """One sync block in use. `owner` is the runtime's Thread that holds the monitor, None if nobody does.

    `recursion` is how often the owner has entered (1 for once). `entering` counts threads blocked in Monitor.Enter; `waiting` are the
    Threads inside Monitor.Wait. `owner_managed_id` is None too when no thread of the list is the owner.
    """

    index: int
    address: int
    object: int
    owner: int | None
    owner_managed_id: int | None
    owner_os_id: int | None
    recursion: int
    entering: int
    waiting: tuple[int, ...]

    @property
    def held(self) -> bool:
        """Whether some thread holds the monitor."""
        return self.owner is not None


@dataclass(frozen=True, slots=True)
class ThinLock:
    """A lock in an object's header: nobody waits for it. `recursion` is how often the owner has entered (1 for once)."""

    object: int
    owner_managed_id: int
    recursion: int


def read_sync_blocks(runtime: Runtime, threads: Sequence[Thread]) -> list[SyncBlock]:
    """Sync blocks that belong to an object, by index; monitors, waiters, or only a hash code or interop data may be in them.

    Raises LimitExceeded or Malformed when the table makes no sense, Unreadable when the dump lacks it. Structure:
    src/coreclr/vm/syncblk.h; entries whose object is tagged with bit 0 are free.
    """
    memory, layout = runtime.memory, runtime.layout
    cache = runtime.global_value("SyncBlockCache")
    used = memory.u32(cache + layout.offset("SyncBlockCache", "FreeSyncTableIndex"))
    size = memory.u32(cache + layout.offset("SyncBlockCache", "SyncTableSize"))
    if not 1 <= used <= size or not INITIAL_TABLE_SIZE <= size <= MAXIMUM_SYNC_BLOCKS:
        raise LimitExceeded(f"self-check SyncBlockCache: {used} of {size} entries of the sync table in use")
    table = runtime.global_value("SyncTableEntries")
    by_address = {thread.address: thread for thread in threads}
    by_id = {thread.managed_id: thread for thread in threads}
    entry_bytes = layout.size("SyncTableEntry")
    blocks: list[SyncBlock] = []
    for index in range(1, used):
        entry = table + index * entry_bytes
        address = memory.pointer(entry + layout.offset("SyncTableEntry", "SyncBlock"))
        target = memory.pointer(entry + layout.offset("SyncTableEntry", "Object"))
        if address and target and not target & 1:
            blocks.append(_sync_block(memory, layout, index, address, target, by_address, by_id))
    return blocks


def _sync_block(
    memory: Memory,
    layout: Layout,
    index: int,
    address: int,
    target: int,
    by_address: Mapping[int, Thread],
    by_id: Mapping[int, Thread],
) -> SyncBlock:
    monitor = address + layout.offset("SyncBlock", "Monitor")
    state = memory.u32(monitor + layout.offset("AwareLock", "LockState"))
    thread: Thread | None = None
    owner = owner_id = None
    if state & IS_LOCKED:
        if layout.has("AwareLock", "HoldingThreadId"):
            owner_id = memory.u32(monitor + layout.offset("AwareLock", "HoldingThreadId"))
            thread = by_id.get(owner_id)
        else:
            owner = memory.pointer(monitor + layout.offset("AwareLock", "HoldingThread"))
            thread = by_address.get(owner)
    if thread is not None:
        owner, owner_id = thread.address, thread.managed_id
    return SyncBlock(
        index=index,
        address=address,
        object=target,
        owner=owner,
        owner_managed_id=owner_id,
        owner_os_id=None if thread is None else thread.os_id,
        recursion=memory.u32(monitor + layout.offset("AwareLock", "Recursion")) if state & IS_LOCKED else 0,
        entering=state >> WAITER_COUNT_SHIFT,
        waiting=tuple(_waiters(memory, layout, address)),
    )


def _waiters(memory: Memory, layout: Layout, block: int) -> list[int]:
    """Threads in Monitor.Wait: SyncBlock.Link chains the WaitEventLink of each through its LinkSB."""
    link = memory.pointer(block + layout.offset("SyncBlock", "Link"))
    inside = layout.offset("WaitEventLink", "LinkSB")
    seen: set[int] = set()
    waiters: list[int] = []
    while link:
        if link in seen or len(seen) >= MAXIMUM_WAITERS:
            raise Malformed(f"the waiters of sync block {block:#x} loop at {link:#x}")
        seen.add(link)
        waiters.append(memory.pointer(link - inside + layout.offset("WaitEventLink", "Thread")))
        link = memory.pointer(link)
    return waiters


def read_thin_locks(runtime: Runtime, addresses: npt.NDArray[np.uint64]) -> list[ThinLock]:
    """Thin locks of the given objects. Free blocks may carry what their last object left: leave them out of `addresses`.

    An object whose header the dump lacks has none here.
    """
    layout = runtime.layout
    headers, present = runtime.memory.image.gather_u32(addresses - np.uint64(HEADER_BYTES))
    other_use = layout.constant("ObjectHeader.HashOrSyncBlockIndex") | layout.constant("ObjectHeader.SpinLock")
    thread_mask, recursion_mask = (
        layout.constant("ObjectHeader.ThinLockThreadIdMask"),
        layout.constant("ObjectHeader.ThinLockRecursionMask"),
    )
    one = recursion_mask & -recursion_mask
    rows = np.flatnonzero(present & (headers & np.uint32(other_use) == 0) & (headers & np.uint32(thread_mask) != 0))
    return [
        ThinLock(int(addresses[row]), int(headers[row]) & thread_mask, (int(headers[row]) & recursion_mask) // one + 1)
        for row in rows.tolist()
    ]
