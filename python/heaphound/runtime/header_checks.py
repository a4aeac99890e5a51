"""Self-checks on the word before each object: hash code, index of a sync block or thin lock, never two of them."""

import numpy as np

from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.sync_blocks import HEADER_BYTES, read_thin_locks

SAMPLE_OBJECTS = 200_000


def check_headers(subject: CheckSubject) -> None:
    """Headers of sampled objects say what is so: their sync block names the object, the owner of their thin lock is a thread."""
    if subject.heap.collecting:
        subject.not_exercised("ObjectHeader")  # the collector keeps marks of its own there, and moves objects
        return
    sample, free = subject.sample, subject.sample.free_type_index
    rows = np.arange(min(len(sample), SAMPLE_OBJECTS), dtype=np.uint32)
    addresses = sample.addresses(0, len(rows))
    if free is not None:
        addresses = addresses[sample.types_of(rows) != free]
    headers, present = subject.memory.image.gather_u32(addresses - np.uint64(HEADER_BYTES))
    addresses, headers = addresses[present], headers[present]
    constant = subject.layout.constant
    in_use = headers & np.uint32(constant("ObjectHeader.HashOrSyncBlockIndex")) != 0
    hashed = in_use & (headers & np.uint32(constant("ObjectHeader.HashCode")) != 0)
    _check_indices(subject, addresses[in_use & ~hashed], headers[in_use & ~hashed])
    if not hashed.any():
        subject.not_exercised("ObjectHeader.HashCode")
    threads = {thread.managed_id for thread in subject.threads}
    locks = read_thin_locks(subject.runtime, addresses)
    if not locks:
        subject.not_exercised("ObjectHeader.ThinLockThreadIdMask")
    strangers = [lock for lock in locks if lock.owner_managed_id not in threads]  # a thread may end and leave its locks
    known = 2 * len(strangers) <= len(locks)
    expect(known, f"ObjectHeader: {len(strangers)} of {len(locks)} thin locks are of threads that are not in the list")


def _check_indices(subject: CheckSubject, addresses: np.ndarray, headers: np.ndarray) -> None:
    """Each index leads to an entry of the sync table that names the object."""
    layout, memory = subject.layout, subject.memory
    if not len(addresses):
        subject.not_exercised("ObjectHeader.SyncBlockIndexMask")
        return
    table = subject.runtime.global_value("SyncTableEntries")
    indices = (headers & np.uint32(layout.constant("ObjectHeader.SyncBlockIndexMask"))).astype(np.uint64)
    entries = np.uint64(table) + indices * np.uint64(layout.size("SyncTableEntry"))
    named, present = memory.image.gather_u64(entries + np.uint64(layout.offset("SyncTableEntry", "Object")))
    wrong = np.flatnonzero(present & (named != addresses))
    first = f"{int(addresses[wrong[0]]):#x} has header {int(headers[wrong[0]]):#x}" if len(wrong) else ""
    expect(not len(wrong), f"ObjectHeader: {len(wrong)} of {len(addresses)} sync blocks name another object: {first}")
