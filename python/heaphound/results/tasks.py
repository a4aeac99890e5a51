"""Asynchronous methods that have started and not finished, as logical stacks."""

from dataclasses import dataclass

from heaphound.address import Address


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
    ``continuation`` (of ContinueWith), ``all``, ``any``, ``unwrap``, ``timeout`` (WaitAsync), ``task`` (a ValueTask turned into a task),
    ``thunk`` (the task of suspended methods, where these are not known)."""
    await_line: int | None = None
    """Line of the await that it waits at; None without a PDB or where it stands at none."""


@dataclass(frozen=True, slots=True)
class AsyncThreadRow:
    """A thread at the end of a logical stack. `method` is the innermost method on its stack that is no library's."""

    os_id: int
    managed_id: int
    name: str | None
    method: str | None
    waits: str | None = None
    """What it waits for, as in ``threads``."""


@dataclass(frozen=True, slots=True)
class AsyncStackRow:
    """Logical stacks that are alike: `frames` of one of them, what waits innermost first, what nobody awaits last."""

    count: int
    frames: tuple[AsyncFrameRow, ...]
    awaiting: str | None
    """Type of what the innermost one awaits; None where nothing leads to it: it runs, is about to, or was forgotten."""
    awaiting_address: Address | None = None
    retained_bytes: int | None = None
    """What the outermost objects of these stacks keep alive, together."""
    waits_for: str | None = None
    """The same in words, of the example: a timer, a semaphore, a promise that nobody has kept."""
    running: tuple[AsyncThreadRow, ...] = ()
    """Threads that run the innermost method."""
    blocked: tuple[AsyncThreadRow, ...] = ()
    """Threads that block until an outermost one of these stacks ends."""


@dataclass(frozen=True, slots=True)
class TasksResult:
    """Logical stacks, the most frequent first. `waiting` counts all boxes of methods that wait, `finished` those that have ended."""

    stacks: tuple[AsyncStackRow, ...]
    waiting: int
    finished: int
    left_out: int = 0
    cut: int = 0
    """Waiting objects beyond the bound of the search, and stacks beyond theirs: they are not in `stacks`."""
