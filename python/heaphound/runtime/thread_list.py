"""The runtime's list of managed threads, as addresses."""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout

MAXIMUM_THREADS = 4_194_304  # Linux gives no more process ids (PID_MAX_LIMIT)


def thread_addresses(memory: Memory, layout: Layout) -> list[int]:
    """Addresses of the runtime's Thread objects in list order, dead and unstarted ones included.

    ThreadStore.FirstThreadLink points to the LinkNext field of the first thread, each LinkNext to that of the next, the last is null
    (src/coreclr/vm/threads.h, src/coreclr/inc/slist.h). Raises Malformed on a loop, Unreadable where the dump lacks a thread.
    """
    store = memory.pointer(layout.global_address("ThreadStore"))
    link_offset = layout.offset("Thread", "LinkNext")
    head = store + layout.offset("ThreadStore", "FirstThreadLink")
    addresses: list[int] = []
    seen: set[int] = set()
    link = memory.pointer(head)
    while link not in (0, head):
        if link in seen:
            raise Malformed(f"the thread list loops at {link - link_offset:#x}")
        if len(seen) >= MAXIMUM_THREADS:
            raise LimitExceeded(f"the thread list has more than {MAXIMUM_THREADS} threads")
        seen.add(link)
        addresses.append(link - link_offset)
        link = memory.pointer(link)
    return addresses
