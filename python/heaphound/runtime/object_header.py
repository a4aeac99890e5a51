"""The word before an object: hash code, index of a sync block, or a thin lock (src/coreclr/vm/syncblk.h, ObjHeader)."""

from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.layouts.schema import Layout

_HEADER_BYTES = 4


@dataclass(frozen=True, slots=True)
class ObjectHeader:
    """What an object's header says; a None is not in it (a hash code may be in the sync block instead).

    `thin_lock_owner` is a managed thread id; `thin_lock_recursion` how often it has entered, 1 for once.
    """

    value: int
    hash_code: int | None = None
    sync_block_index: int | None = None
    thin_lock_owner: int | None = None
    thin_lock_recursion: int = 0


def read_object_header(memory: Memory, layout: Layout, address: int) -> ObjectHeader:
    """The header of the object at `address`. Raises Unreadable."""
    value = memory.u32(address - _HEADER_BYTES)
    constant = layout.constant
    if value & constant("ObjectHeader.HashOrSyncBlockIndex"):
        inner = value & constant("ObjectHeader.SyncBlockIndexMask")
        if value & constant("ObjectHeader.HashCode"):
            return ObjectHeader(value, hash_code=inner)
        return ObjectHeader(value, sync_block_index=inner)
    owner = value & constant("ObjectHeader.ThinLockThreadIdMask")
    if value & constant("ObjectHeader.SpinLock") or not owner:
        return ObjectHeader(value)
    mask = constant("ObjectHeader.ThinLockRecursionMask")
    return ObjectHeader(value, thin_lock_owner=owner, thin_lock_recursion=(value & mask) // (mask & -mask) + 1)
