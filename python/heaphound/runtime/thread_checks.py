"""Self-checks on the structure of what runs: statics, threads, the finalizer queue, monitors, ranges of code."""

from itertools import pairwise

import numpy as np

from heaphound.runtime.check_subject import CheckSubject, expect
from heaphound.runtime.code_ranges import code_ranges
from heaphound.runtime.finalizer import read_finalizer_queue
from heaphound.runtime.sync_blocks import read_sync_blocks
from heaphound.runtime.threads import Thread, ThreadState

MAXIMUM_LOCAL_MODULES = 1 << 20
MAXIMUM_MANAGED_ID = 1 << 24
POINTER_BYTES = 8
FULLY_INITIALIZED = 0x20000  # TS_FullyInitialized of src/coreclr/vm/threads.h: set for every thread that runs


def check_statics(subject: CheckSubject) -> None:
    """What holds the statics of System.String's type or module names its owner."""
    string = subject.runtime.global_value("StringMethodTable")
    if subject.layout.contract("Statics") == "dynamic-statics-info":
        info = subject.pointer(string, "MethodTable", "AuxiliaryData") - subject.layout.size("DynamicStaticsInfo")
        owner = subject.pointer(info, "DynamicStaticsInfo", "MethodTable")
        expect(owner == string, f"DynamicStaticsInfo.MethodTable: it is {owner:#x}, not System.String {string:#x}")
    else:
        local = subject.pointer(subject.core_library, "Module", "ModuleID")
        owner = subject.pointer(local, "DomainLocalModule", "ModuleIndex")
        index = subject.pointer(subject.core_library, "Module", "ModuleIndex")
        expect(owner == index, f"DomainLocalModule.ModuleIndex: it is {owner}, its module has {index}")


def check_thread_statics(subject: CheckSubject) -> None:
    """A thread's block of thread statics names its thread (9.0 on), or its table has a plausible size."""
    memory, layout = subject.memory, subject.layout
    for thread in subject.threads:
        if layout.contract("ThreadStatics") == "thread-local-data":
            data = subject.pointer(thread.address, "Thread", "ThreadLocalDataPtr")
            owner = subject.pointer(data, "ThreadLocalData", "Thread") if data else thread.address
            expect(owner == thread.address, f"ThreadLocalData.Thread: the data of thread {thread.address:#x} names {owner:#x}")
        else:
            block = thread.address + layout.offset("Thread", "ThreadLocalBlock")
            table = subject.pointer(block, "ThreadLocalBlock", "TLMTable")
            size = memory.u64(block + layout.offset("ThreadLocalBlock", "TLMTableSize"))
            plausible = bool(table) == bool(size) and size <= MAXIMUM_LOCAL_MODULES
            expect(plausible, f"ThreadLocalBlock: thread {thread.address:#x} has {size} modules at {table:#x}")


def check_threads(subject: CheckSubject) -> None:
    """The list has as many threads of each kind as the store counts, one of them the finalizer's; each looks like a thread."""
    threads = subject.threads
    store = subject.runtime.global_value("ThreadStore")
    counts = {
        "ThreadCount": len(threads),
        "UnstartedCount": sum(bool(thread.state_bits & ThreadState.UNSTARTED) for thread in threads),
        "DeadCount": sum(bool(thread.state_bits & ThreadState.DEAD) for thread in threads),
        "BackgroundCount": sum(thread.background and thread.alive for thread in threads),
    }
    for name, found in counts.items():
        counted = subject.memory.u32(store + subject.layout.offset("ThreadStore", name))
        expect(found == counted, f"ThreadStore.{name}: {found} such threads in the list, {counted} counted")
    expect(any(thread.finalizer for thread in threads), "FinalizerThread: it is not in the thread list")
    expect(len({thread.managed_id for thread in threads}) == len(threads), "Thread.Id: two threads have one managed id")
    if all(thread.managed_object is None for thread in threads):
        subject.not_exercised("Thread.GCHandle")  # a program that never asked for its threads has no objects of them
    for thread in threads:
        _check_thread(subject, thread)
    known = {registers.os_id for registers in subject.runtime.core.threads}
    alive = [thread for thread in threads if thread.alive]
    nameless = sum(thread.os_id is None for thread in alive)
    expect(2 * nameless <= len(alive), f"Thread.OSId: {nameless} of {len(alive)} threads that run have none")
    strangers = [thread.os_id for thread in threads if thread.os_id is not None and thread.os_id not in known]
    many = known and len(strangers) > len(threads) // 2
    expect(not many, f"Thread.OSId: {len(strangers)} threads are not among the core's {len(known)}")


def _check_thread(subject: CheckSubject, thread: Thread) -> None:
    memory, layout = subject.memory, subject.layout
    who = f"of thread {thread.managed_id} at {thread.address:#x}"
    expect(1 <= thread.managed_id <= MAXIMUM_MANAGED_ID, f"Thread.Id: {who}")
    running = bool(thread.state_bits & FULLY_INITIALIZED)
    expect(running or not thread.alive, f"Thread.State: {thread.state_bits:#x} {who}, which runs")
    mode = memory.u32(thread.address + layout.offset("Thread", "PreemptiveGCDisabled"))
    expect(mode in (0, 1), f"Thread.PreemptiveGCDisabled: {mode} {who}")
    aligned = thread.frame is None or (thread.frame % POINTER_BYTES == 0 and memory.readable(thread.frame, POINTER_BYTES))
    expect(aligned, f"Thread.Frame: {thread.frame or 0:#x} {who} is no frame")
    if thread.managed_object is not None:
        found = memory.pointer(thread.managed_object) & ~layout.constant("ObjectToMethodTableUnmask")
        table = subject.runtime.global_value("ThreadMethodTable")
        expect(found == table, f"Thread.GCHandle: the object {who} has MethodTable {found:#x}, not Thread's")
    for thrown in (thread.exception, *thread.nested_exceptions):
        expect(thrown is None or subject.heap.segment_of(thrown) is not None, f"Thread.LastThrownObject: {thrown or 0:#x} {who}")


def check_finalizer_queue(subject: CheckSubject) -> None:
    """The fill pointers of each heap's queue are in order, and what it holds lies in the heap."""
    queue = read_finalizer_queue(subject.runtime, subject.heap)
    expect(not queue.gaps, f"CFinalize: {queue.gaps[0].reason}" if queue.gaps else "")
    if subject.small and subject.heap.gaps:
        subject.not_exercised("CFinalize")  # the list of segments breaks off
        return
    starts, ends = (np.array(bounds, np.uint64) for bounds in zip(*subject.heap.object_ranges() or [(0, 0)], strict=True))
    for part in (queue.ready, queue.waiting):
        segment = np.minimum(np.searchsorted(ends, part.objects, side="right"), len(ends) - 1)
        outside = np.flatnonzero((part.objects < starts[segment]) | (part.objects >= ends[segment])).tolist()
        where = f"{int(part.objects[outside[0]]):#x} at {int(part.slots[outside[0]]):#x}" if outside else ""
        expect(not outside, f"CFinalize: {where} is no object of the heap")


def check_sync_blocks(subject: CheckSubject) -> None:
    """The header of each object with a sync block has that block's index; owners and waiters are threads; who is locked has an owner."""
    memory, layout = subject.memory, subject.layout
    in_use = layout.constant("ObjectHeader.HashOrSyncBlockIndex")
    threads = {thread.address for thread in subject.threads}
    held, doubtful, waited = 0, 0, False
    blocks = read_sync_blocks(subject.runtime, subject.threads)
    _check_distances(subject, sorted(block.address for block in blocks))
    for block in blocks:
        header = memory.u32(block.object - 4)
        same = bool(header & in_use) and header & layout.constant("ObjectHeader.SyncBlockIndexMask") == block.index
        expect(same, f"SyncTableEntry: object {block.object:#x} of block {block.index} has header {header:#x}")
        expect(not block.held or block.owner in threads, f"AwareLock: the owner of block {block.index} is no thread")
        expect(not block.held or 1 <= block.recursion < 1 << 20, f"AwareLock.Recursion: {block.recursion} in block {block.index}")
        expect(threads.issuperset(block.waiting), f"SyncBlock.Link: what waits at block {block.index} is no thread")
        expect(block.entering <= len(threads), f"AwareLock.LockState: {block.entering} threads wait for block {block.index}")
        named = _named_owner(subject, block.address)
        held += block.held or named
        doubtful += block.held != named
        waited = waited or bool(block.waiting)
    if not held:
        subject.not_exercised("AwareLock")
    if not waited:
        subject.not_exercised("WaitEventLink")
    expect(2 * doubtful <= held, f"AwareLock.LockState: {doubtful} of {held} monitors with an owner are not locked, or the other way round")


def _check_distances(subject: CheckSubject, addresses: list[int]) -> None:
    """Sync blocks are made many at a time, one behind the other (SyncBlockArray, syncblk.h): the nearest two tell how large each is."""
    size = subject.layout.size("SyncBlock")
    nearest = min((following - block for block, following in pairwise(addresses)), default=None)
    if nearest is None or nearest >= 2 * size:
        subject.not_exercised("size of SyncBlock")
    else:
        expect(nearest == size, f"size of SyncBlock: {size}, and two lie {nearest} bytes apart")


def _named_owner(subject: CheckSubject, block: int) -> bool:
    """Whether a monitor names an owner, locked or not; it is cleared when the owner leaves (AwareLock::LeaveHelper, syncblk.inl)."""
    monitor = block + subject.layout.offset("SyncBlock", "Monitor")
    if subject.layout.has("AwareLock", "HoldingThreadId"):
        return subject.memory.u32(monitor + subject.layout.offset("AwareLock", "HoldingThreadId")) != 0
    return subject.pointer(monitor, "AwareLock", "HoldingThread") != 0


def check_code_ranges(subject: CheckSubject) -> None:
    """Ranges of managed code are not empty, and one is the ready-to-run image of the core library, if any is such an image."""
    ranges = code_ranges(subject.runtime)
    sections = ranges.sections
    empty = [section for section in sections if section.size_bytes <= 0]
    expect(bool(sections or ranges.gaps) and not empty, f"RangeSection: {len(empty)} of {len(sections)} ranges of code are empty")
    images = {section.module for section in sections if section.module is not None}
    expect(
        bool(ranges.gaps) or not images or subject.core_library in images, "RangeSection: no ready-to-run image is System.Private.CoreLib's"
    )
