"""Allocation contexts: stretches of the heap handed to a thread for its next objects, holding none yet."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.thread_list import thread_addresses


@dataclass(frozen=True, slots=True)
class AllocationContexts:
    """Unused [pointer, limit) ascending, each once; `missing` says in words which could not be read."""

    stretches: tuple[tuple[int, int], ...]
    missing: tuple[str, ...]


def allocation_contexts(runtime: Runtime, of_generations: Iterable[tuple[int, int]]) -> AllocationContexts:
    """Unused stretches of all threads, of the generations (given), and the process-wide one.

    One that the dump lacks or that ends before it begins is missing: a walk will meet its bytes as a gap.
    """
    memory, layout = runtime.memory, runtime.layout
    pairs = set(of_generations)
    missing: list[str] = []
    try:
        threads = thread_addresses(memory, layout)
    except (Unreadable, Malformed) as error:
        threads = []
        missing.append(f"allocation contexts of threads: {error}")
    for thread in threads:
        try:
            pairs.add(thread_allocation_context(memory, layout, thread))
        except Unreadable as error:
            missing.append(f"allocation context of thread {thread:#x}: {error}")
    if layout.has_global("GlobalAllocContext"):
        with suppress(Unreadable):  # no process on Linux allocates from it; to be complete where one does
            pairs.add(_pair(memory, layout, layout.global_address("GlobalAllocContext")))
    missing += [f"the allocation context at {start:#x} ends before, at {end:#x}" for start, end in sorted(pairs) if end < start]
    return AllocationContexts(tuple(sorted(pair for pair in pairs if 0 < pair[0] <= pair[1])), tuple(missing))


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
