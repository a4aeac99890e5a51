"""Asynchronous methods that have started and not finished, as logical stacks."""

from dataclasses import dataclass

from heaphound.address import Address
from heaphound.results.object import Value


@dataclass(frozen=True, slots=True)
class AsyncVariableRow:
    """What the state machine of an async method keeps."""

    kind: str
    """``this``, ``argument``, ``local``, or ``temporary``: a value that the compiler keeps for itself."""
    name: str
    type: str
    value: Value


@dataclass(frozen=True, slots=True)
class AsyncFrameRow:
    """One that waits in a logical stack: its object on the heap (of the example), and of a method at which await it stands."""

    method: str
    """For kinds that are no method what they do, such as ``Task.WhenAll``."""
    state: int | None
    """Number of the await it waits at, counted from 0 in the order of the source; -1 while it runs, before the first await too; of an async
    iterator -3 before it started and -4 and below at a ``yield``; None if that is not known, and for what is no method."""
    address: Address
    state_machine: str
    file: str | None = None
    line: int | None = None
    """First line of the method; None without a PDB."""
    kind: str = "method"
    """``method`` (async method or iterator), ``suspended`` (a method that the runtime itself suspended, 10.0 and later),
    ``continuation`` (of ContinueWith), ``all``, ``any``, ``each`` (Task.WhenEach, 9.0 and later), ``unwrap``, ``timeout`` (WaitAsync),
    ``parallel`` (Parallel.ForEachAsync), ``task`` (a ValueTask turned into a task), ``thunk`` (the task of suspended methods, where these
    are not known)."""
    await_line: int | None = None
    """Line of the await that it waits at; None without a PDB or where it stands at none."""
    note: str | None = None
    """What else is known of it: of Task.WhenAll how many have not ended, of a wait with a timeout when that ends it."""
    variables: tuple[AsyncVariableRow, ...] | None = None
    """What it keeps for when it goes on; None where that was not asked for, is not known, or for what is no state machine."""


@dataclass(frozen=True, slots=True)
class AsyncThreadRow:
    """A thread at the end of a logical stack. `method` is the innermost method on its stack that is no library's."""

    os_id: int
    managed_id: int
    name: str | None
    method: str | None
    waits: str | None = None
    """What it waits for, as in ``threads``."""
    task: Address | None = None
    """The task whose end it waits for, of the stack's outermost method or of one further in; None for a thread that runs a method."""


@dataclass(frozen=True, slots=True)
class AsyncStackRow:
    """Logical stacks that are alike: `frames` of one of them, what waits innermost first, what nobody awaits last.

    Without frames it is a thread that blocks until a task ends that no async method has to do with.
    """

    count: int
    frames: tuple[AsyncFrameRow, ...]
    awaiting: str | None
    """Type of what the innermost one awaits; None where nothing leads to it: it runs, is about to, or was forgotten."""
    awaiting_address: Address | None = None
    retained_bytes: int | None = None
    """What the objects of these stacks keep alive, together; None where they are too long for that (over 1000)."""
    waits_for: str | None = None
    """The same in words, of the example: a timer, a semaphore, a promise that nobody has kept."""
    running: tuple[AsyncThreadRow, ...] = ()
    """Threads that run the innermost method."""
    blocked: tuple[AsyncThreadRow, ...] = ()
    """Threads that block until one of these stacks ends, or a method further in or what it waits for."""
    outermost_count: int | None = None
    """How many different objects are outermost: fewer than `count` where one waits for several (Task.WhenAll)."""
    awaiting_count: int = 0
    """How many different objects the innermost ones await: 1 where all wait for the same, 0 where that is not known."""
    frames_left_out: int = 0
    """Frames of a very long stack that are not listed, between the last two."""


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """All tasks on the heap by how far they have come; each counts once."""

    created: int
    """Made with a delegate, and never started."""
    queued: int
    """Given to their scheduler, which has not begun them."""
    running: int
    waiting_for_children: int
    """Done but for the child tasks that are attached to them."""
    promised: int
    """Without a delegate, to be completed by somebody: async methods that wait, TaskCompletionSource, timers."""
    completed: int
    faulted: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class FaultRow:
    """Tasks that failed with one type of exception. `task` is one of them, one that is not observed if there is one; `exception` is its."""

    type: str
    count: int
    unobserved: int | None
    """How many have an exception that nobody has seen: no await, no Wait, no Result, no Exception; None where it cannot be read."""
    task: Address
    exception: Address | None


@dataclass(frozen=True, slots=True)
class TasksResult:
    """Logical stacks, the most frequent first. `waiting` counts all methods that wait, `finished` the boxes of those that have ended.

    Both are None, like `counts`, where nothing of the heap is in the dump; where it lacks parts they count what there is.
    """

    stacks: tuple[AsyncStackRow, ...]
    waiting: int | None
    finished: int | None
    left_out: int = 0
    cut: int = 0
    """Waiting objects beyond the bound of the search, and stacks beyond theirs: they are not in `stacks`."""
    counts: TaskCounts | None = None
    faults: tuple[FaultRow, ...] = ()
