"""Allocation contexts: stretches of the heap handed to a thread for its next objects, holding none yet."""

from collections.abc import Iterable
from contextlib import suppress

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.thread_list import thread_addresses


def allocation_contexts(runtime: Runtime, of_generations: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Unused [pointer, limit) of all threads, of the generations (given), and the process-wide one, ascending, each once.

    A thread whose structures the dump lacks has none here. Raises Malformed where a context ends before it begins.
    """
    memory, layout = runtime.memory, runtime.layout
    pairs = set(of_generations)
    for thread in thread_addresses(memory, layout):
        try:
            pairs.add(thread_allocation_context(memory, layout, thread))
        except Unreadable:
            continue
    if layout.has_global("GlobalAllocContext"):
        with suppress(Unreadable):
            pairs.add(_pair(memory, layout, layout.global_address("GlobalAllocContext")))
    found = sorted(pair for pair in pairs if pair[0])
    for start, end in found:
        if end < start:
            raise Malformed(f"an allocation context ends at {end:#x}, before its start {start:#x}")
    return found


def thread_allocation_context(memory: Memory, layout: Layout, thread: int) -> tuple[int, int]:
    """(pointer, limit) of one thread, (0, 0) for a thread without; Unreadable where the dump lacks it.

    To 8.0 it lies in the Thread; in 9.0 in a block of thread-local variables that Thread.RuntimeThreadLocals names; since 10.0 one
    structure further in (EEAllocContext, src/coreclr/vm/threads.h).
    """
    if not layout.has("Thread", "RuntimeThreadLocals"):
        return _pair(memory, layout, thread + layout.offset("Thread", "AllocContext"))
    local = memory.pointer(thread + layout.offset("Thread", "RuntimeThreadLocals"))
    if local == 0:
        return 0, 0
    inner = layout.offset("EEAllocContext", "GCAllocationContext") if layout.has("EEAllocContext") else 0
    return _pair(memory, layout, local + layout.offset("RuntimeThreadLocals", "AllocContext") + inner)


def _pair(memory: Memory, layout: Layout, context: int) -> tuple[int, int]:
    return (
        memory.pointer(context + layout.offset("GCAllocContext", "Pointer")),
        memory.pointer(context + layout.offset("GCAllocContext", "Limit")),
    )
