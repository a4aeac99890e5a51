"""Threads, locks and the finalizer queue of a toy process."""

import numpy as np
import pytest

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.runtime.finalizer import read_finalizer_queue
from heaphound.runtime.heap import read_heap
from heaphound.runtime.sync_blocks import ThinLock, read_sync_blocks, read_thin_locks
from heaphound.runtime.thread_list import thread_addresses
from heaphound.runtime.threads import read_threads
from tests.unit.runtime.toy_process import ToyProcess


def named_object(toy: ToyProcess, name: str) -> int:
    text = toy.allocate(12 + 2 * len(name))
    toy.fill(text, "String", size=4, m_StringLength=len(name))
    toy.image.write(text + toy.layout.offset("String", "m_FirstChar"), name.encode("utf-16-le"))
    return toy.structure("ManagedThread", 64, _name=text)


def test_threads_with_ids_state_name_and_exception() -> None:
    toy = ToyProcess()
    main = toy.thread(1, 100, state=0x20, LastThrownObject=toy.words(0x5000))
    worker = toy.thread(2, 101, state=0x1000200, GCHandle=toy.words(named_object(toy, "wörker")))
    dead = toy.thread(3, 102, state=0xA00)
    toy.variable("FinalizerThread", worker)
    threads = read_threads(toy.runtime())
    assert [thread.address for thread in threads] == [main, worker, dead]
    assert [(t.managed_id, t.os_id, t.alive, t.background, t.name) for t in threads] == [
        (1, 100, True, False, None),
        (2, 101, True, True, "wörker"),
        (3, None, False, True, None),
    ]
    assert [t.state for t in threads] == ["foreground", "background, pool worker, finalizer", "dead, background"]
    assert [t.exception for t in threads] == [0x5000, None, None]
    assert threads[0].gc_mode == "Preemptive"
    assert threads[0].frame is None


def test_a_thread_in_cooperative_mode_with_nested_exceptions() -> None:
    toy = ToyProcess()
    outer = toy.structure("ExceptionInfo", 32, ThrownObject=toy.words(0x7000))
    inner = toy.structure("ExceptionInfo", 32, ThrownObject=toy.words(0x6000), PreviousNestedInfo=outer)
    thread = toy.thread(1, 100, ExceptionTracker=inner)
    toy.fill(thread, "Thread", size=4, PreemptiveGCDisabled=1)
    toy.variable("FinalizerThread", 0)
    (found,) = read_threads(toy.runtime())
    assert found.gc_mode == "Cooperative"
    assert found.nested_exceptions == (0x6000, 0x7000)


def test_a_thread_list_that_loops_is_malformed() -> None:
    toy = ToyProcess()
    first, second = toy.thread(1, 100), toy.thread(2, 101)
    runtime = toy.runtime()
    link = toy.layout.offset("Thread", "LinkNext")
    toy.put(second + link, first + link)
    with pytest.raises(Malformed, match="loops"):
        thread_addresses(runtime.memory, runtime.layout)


def test_a_thread_that_is_not_dumped_is_unreadable() -> None:
    toy = ToyProcess()
    thread = toy.thread(1, 100)
    runtime = toy.runtime()
    toy.put(thread + toy.layout.offset("Thread", "LinkNext"), 0x600000000000)
    with pytest.raises(Unreadable):
        thread_addresses(runtime.memory, runtime.layout)


def with_locks(*, used: int = 4) -> tuple[ToyProcess, int, int, int]:
    toy = ToyProcess()
    owner, waiter = toy.thread(1, 100), toy.thread(2, 101)
    toy.variable("FinalizerThread", 0)
    link = toy.structure("WaitEventLink", 48, Thread=waiter)
    held, waited = toy.allocate(96), toy.allocate(96)
    toy.fill(held, "AwareLock", HoldingThread=owner)
    toy.fill(held, "AwareLock", size=4, LockState=0x81, Recursion=3)
    toy.fill(waited, "SyncBlock", Link=link + toy.layout.offset("WaitEventLink", "LinkSB"))
    table = toy.words(0, 0, held, 0x8000, 0, 0x8011, waited, 0x8100)
    toy.variable("SyncTableEntries", table)
    cache = toy.allocate(256)
    toy.fill(cache, "SyncBlockCache", size=4, FreeSyncTableIndex=used, SyncTableSize=250)
    toy.variable("SyncBlockCache", cache)
    return toy, owner, waiter, link


def test_sync_blocks_have_owner_entering_and_waiting_threads() -> None:
    toy, owner, waiter, _ = with_locks()
    runtime = toy.runtime()
    first, second = read_sync_blocks(runtime, read_threads(runtime))
    assert (first.index, first.object, first.held, first.owner, first.owner_managed_id, first.owner_os_id) == (
        1,
        0x8000,
        True,
        owner,
        1,
        100,
    )
    assert (first.recursion, first.entering, first.waiting) == (3, 2, ())
    assert (second.index, second.object, second.held, second.owner, second.recursion) == (3, 0x8100, False, None, 0)
    assert second.waiting == (waiter,)


def test_a_sync_table_with_absurd_counts_is_refused() -> None:
    toy, *_ = with_locks(used=251)
    runtime = toy.runtime()
    with pytest.raises(LimitExceeded, match="251 of 250"):
        read_sync_blocks(runtime, read_threads(runtime))


def test_waiters_that_loop_are_malformed() -> None:
    toy, *_, link = with_locks()
    runtime = toy.runtime()
    inside = link + toy.layout.offset("WaitEventLink", "LinkSB")
    toy.put(inside, inside)
    with pytest.raises(Malformed, match="waiters"):
        read_sync_blocks(runtime, read_threads(runtime))


def test_thin_locks_are_read_out_of_headers() -> None:
    toy = ToyProcess()
    headers = {0x8000: 5, 0x8020: 5 | 2 << 16, 0x8040: 0x08000003, 0x8060: 0}
    base = toy.allocate(0x100)
    for address, header in headers.items():
        toy.put(base + address - 0x8000 + 4, header, 4)
    objects = np.array([base + 8 + address - 0x8000 for address in headers], dtype=np.uint64)
    toy.image.gather_u32 = lambda addresses: (  # type: ignore[attr-defined]
        np.array([toy.memory.u32(int(address)) for address in addresses], dtype=np.uint32),
        np.ones(len(addresses), dtype=np.bool_),
    )
    assert read_thin_locks(toy.runtime(), objects) == [ThinLock(int(objects[0]), 5, 1), ThinLock(int(objects[1]), 5, 3)]


def test_the_finalizer_queue_tells_ready_objects_from_waiting_ones() -> None:
    toy = ToyProcess()
    toy.segment(0, 0x10028, 0x10100, ephemeral=True)
    heap = toy.heaps[0]
    heap.finalizable, heap.critical, heap.ready = [0x10, 0x20, 0], [0x30], [0x40, 0x50]
    runtime = toy.runtime()
    queue = read_finalizer_queue(runtime, read_heap(runtime))
    ready, waiting = queue.ready, queue.waiting
    assert list(zip(ready.objects.tolist(), ready.critical.tolist(), strict=True)) == [(0x30, True), (0x40, False), (0x50, False)]
    assert (waiting.objects.tolist(), waiting.critical.tolist(), waiting.heaps.tolist()) == ([0x10, 0x20], [False, False], [0, 0])
    assert (ready.slots - waiting.slots[0]).tolist() == [24, 32, 40], "the null entry takes a place"
    assert queue.gaps == ()


def test_a_queue_out_of_order_is_a_gap() -> None:
    toy = ToyProcess()
    toy.segment(0, 0x10028, 0x10100, ephemeral=True)
    toy.heaps[0].ready = [0x40]
    runtime = toy.runtime()
    heap = read_heap(runtime)
    toy.put(heap.heaps[0].finalize_queue + 8, 0x10)
    queue = read_finalizer_queue(runtime, heap)
    assert (len(queue.ready), len(queue.waiting)) == (0, 0)
    assert "not in order" in queue.gaps[0].reason


def test_exceptions_that_loop_and_a_name_without_end_are_told() -> None:
    toy = ToyProcess()
    tracker = toy.structure("ExceptionInfo", 32, ThrownObject=toy.words(0x7000))
    toy.fill(tracker, "ExceptionInfo", PreviousNestedInfo=tracker)
    named = named_object(toy, "x" * 5000)
    toy.thread(1, 100, ExceptionTracker=tracker, GCHandle=toy.words(named))
    toy.thread(2, 101)
    toy.variable("FinalizerThread", 0)
    first, second = read_threads(toy.runtime())
    assert first.nested_exceptions == (0x7000,)
    assert first.name == "x" * 4096
    assert first.problem is not None
    assert "name claims 5000 characters" in first.problem
    assert "loops" in first.problem
    assert second.problem is None
