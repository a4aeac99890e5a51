"""The chain of what the runtime keeps of exceptions that a thread has thrown and not finished handling.

An ExceptionTracker each up to 8.0, then an ExInfo.
Sources: src/coreclr/vm/exceptionhandling.h of v3.1 to v8.0, exinfo.h since v9.0, exstate.h (m_pCurrentTracker).
"""

from collections.abc import Iterator

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS


def tracker_addresses(memory: Memory, layout: Layout, thread: int) -> Iterator[int]:
    """Addresses of a Thread's trackers, that of the exception thrown last first. Raises Malformed where the chain loops or has what is no
    tracker of this thread, LimitExceeded, Unreadable, LayoutError."""
    if not layout.has("ExceptionInfo", "PreviousNestedInfo"):
        return
    seen: set[int] = set()
    address = memory.pointer(thread + layout.offset("Thread", "ExceptionTracker"))
    while address:
        if address in seen:
            raise Malformed(f"the chain of exceptions that it handles loops at {address:#x}")
        if len(seen) >= LIMITS.nested_exceptions:
            raise LimitExceeded(f"it handles more than {LIMITS.nested_exceptions} exceptions")
        owner = tracker_owner(memory, layout, address)
        if owner not in (None, thread):
            raise Malformed(f"the exception tracker at {address:#x} belongs to thread {owner:#x}, not to {thread:#x}")
        seen.add(address)
        yield address
        address = memory.pointer(address + layout.offset("ExceptionInfo", "PreviousNestedInfo"))


def tracker_owner(memory: Memory, layout: Layout, tracker: int) -> int | None:
    """The Thread that a tracker says it belongs to (`m_pThread`: null in one that is free); None since 9.0, where it does not say so."""
    return memory.pointer(tracker + layout.offset("ExceptionInfo", "Thread")) if layout.has("ExceptionInfo", "Thread") else None
