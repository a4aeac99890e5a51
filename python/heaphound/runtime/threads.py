"""Managed threads: the runtime's thread list, each with its ids, state, GC mode, name and last exception."""

from dataclasses import dataclass
from enum import IntFlag

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.alloc_contexts import thread_allocation_context
from heaphound.runtime.exception_trackers import tracker_addresses
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.thread_list import thread_addresses

MAXIMUM_NAME_CHARACTERS = 4096
NO_FRAME = (0, 0xFFFFFFFFFFFFFFFF)


class ThreadState(IntFlag):
    """Bits of Thread::m_State that tell something about a thread at rest (src/coreclr/vm/threads.h, enum ThreadState, 6.0 to 10.0)."""

    ABORT_REQUESTED = 0x1
    HIJACKED = 0x80
    BACKGROUND = 0x200
    UNSTARTED = 0x400
    DEAD = 0x800
    POOL_WORKER = 0x1000000
    INTERRUPTIBLE = 0x2000000
    INTERRUPTED = 0x4000000
    COMPLETION_PORT = 0x8000000
    DETACHED = 0x80000000


STATE_WORDS = {
    ThreadState.UNSTARTED: "unstarted",
    ThreadState.DEAD: "dead",
    ThreadState.BACKGROUND: "background",
    ThreadState.POOL_WORKER: "pool worker",
    ThreadState.COMPLETION_PORT: "completion port",
    ThreadState.ABORT_REQUESTED: "abort requested",
    ThreadState.INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True)
class Thread:
    """One managed thread. `address` is the runtime's Thread, `managed_object` its System.Threading.Thread.

    `os_id` is None for a thread that has not started or has ended. `name` is None where none was set, or the dump lacks it.
    `exception` is the exception object it threw last and has not forgotten; `nested_exceptions` those it is handling, innermost first,
    empty where the layout does not tell. `frame` is its innermost explicit frame, None if there is none. `allocation_context` is
    (pointer, limit), (0, 0) when it has none. `problem` says what of it makes no sense, None for a sound thread.
    """

    address: int
    managed_id: int
    os_id: int | None
    state_bits: int
    cooperative: bool
    finalizer: bool
    managed_object: int | None
    name: str | None
    exception: int | None
    nested_exceptions: tuple[int, ...]
    frame: int | None
    allocation_context: tuple[int, int]
    problem: str | None = None

    @property
    def alive(self) -> bool:
        """Whether it has started and not ended."""
        return not self.state_bits & (ThreadState.DEAD | ThreadState.UNSTARTED)

    @property
    def background(self) -> bool:
        """Whether the process may end while it runs."""
        return bool(self.state_bits & ThreadState.BACKGROUND)

    @property
    def gc_mode(self) -> str:
        """Cooperative: runs managed code, a collection must stop it; Preemptive: the GC need not wait for it."""
        return "Cooperative" if self.cooperative else "Preemptive"

    @property
    def state(self) -> str:
        """Its state in words, such as "background, pool worker"; "foreground" when there is nothing else to say."""
        words = [word for bit, word in STATE_WORDS.items() if self.state_bits & bit]
        if self.finalizer:
            words.append("finalizer")
        return ", ".join(words) or "foreground"


def read_threads(runtime: Runtime) -> list[Thread]:
    """All managed threads in the runtime's order, unstarted and dead ones included.

    Raises Unreadable where the dump lacks the list or a Thread itself, Malformed on a loop; a name or exception that it lacks is None.
    """
    finalizer = runtime.global_value("FinalizerThread")
    return [_thread(runtime, address, finalizer) for address in thread_addresses(runtime.memory, runtime.layout)]


def _thread(runtime: Runtime, address: int, finalizer: int) -> Thread:
    memory, layout = runtime.memory, runtime.layout

    def at(name: str) -> int:
        return address + layout.offset("Thread", name)

    state = memory.u32(at("State"))
    os_id = memory.u64(at("OSId")) & 0xFFFFFFFF
    started = os_id not in (0, 0xFFFFFFFF) and not state & (ThreadState.UNSTARTED | ThreadState.DEAD)
    frame = memory.pointer(at("Frame"))
    managed = _target(memory, at("GCHandle"))
    problems: list[str] = []
    return Thread(
        address=address,
        managed_id=memory.u32(at("Id")),
        os_id=os_id if started else None,
        state_bits=state,
        cooperative=memory.u32(at("PreemptiveGCDisabled")) != 0,
        finalizer=address == finalizer,
        managed_object=managed,
        name=None if managed is None else _name(memory, layout, managed, problems),
        exception=_target(memory, at("LastThrownObject")),
        nested_exceptions=tuple(_nested(memory, layout, address, problems)),
        frame=None if frame in NO_FRAME else frame,
        allocation_context=_context(memory, layout, address),
        problem="; ".join(problems) or None,
    )


def _target(memory: Memory, field: int) -> int | None:
    """The object that the handle in `field` holds; None for no handle, a handle that holds null, or one that the dump lacks."""
    try:
        handle = memory.pointer(field)
        return (memory.pointer(handle) or None) if handle else None
    except Unreadable:
        return None


def _name(memory: Memory, layout: Layout, managed: int, problems: list[str]) -> str | None:
    """Thread._name of System.Private.CoreLib: its third reference field in 6.0 to 10.0. Of a name of absurd length the beginning."""
    try:
        text = memory.pointer(managed + layout.offset("ManagedThread", "_name"))
        if text == 0:
            return None
        length = memory.u32(text + layout.offset("String", "m_StringLength"))
        if length > MAXIMUM_NAME_CHARACTERS:
            problems.append(f"its name claims {length} characters: the first {MAXIMUM_NAME_CHARACTERS} are shown")
        return memory.utf16(text + layout.offset("String", "m_FirstChar"), min(length, MAXIMUM_NAME_CHARACTERS))
    except Unreadable:
        return None


def _nested(memory: Memory, layout: Layout, thread: int, problems: list[str]) -> list[int]:
    """Exceptions being handled, innermost first, by the chain of trackers (src/coreclr/vm/exceptionhandling.h, exinfo.h)."""
    found: list[int] = []
    try:
        for tracker in tracker_addresses(memory, layout, thread):
            thrown = _target(memory, tracker + layout.offset("ExceptionInfo", "ThrownObject"))
            if thrown is not None:
                found.append(thrown)
    except Unreadable:
        return found
    except (Malformed, LayoutError) as error:
        problems.append(f"the exceptions that it handles are not all known: {error}")
    return found


def _context(memory: Memory, layout: Layout, thread: int) -> tuple[int, int]:
    try:
        return thread_allocation_context(memory, layout, thread)
    except Unreadable:
        return 0, 0
