"""Asynchronous methods that have started and not finished, as logical stacks."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class AsyncFrameRow:
    """One async method in a logical stack: its box on the heap (of the example), and at which await it stands."""

    method: str
    state: int | None
    """Number of the await it waits at, counted from 0 in the order of the source; -1 before the first; None if that is not known."""
    address: Address
    state_machine: str
    file: str | None = None
    line: int | None = None
    """First line of the method; None without a PDB."""


@dataclass(frozen=True, slots=True)
class AsyncStackRow:
    """Logical stacks that are alike: `frames` of one of them, the method that waits innermost first, the one that nobody awaits last."""

    count: int
    frames: tuple[AsyncFrameRow, ...]
    awaiting: str | None
    """Type of what the innermost method awaits; None where nothing on the heap leads to it (a timer, a socket, or forgotten for ever)."""
    awaiting_address: Address | None = None
    retained_bytes: int | None = None
    """What the outermost boxes of these stacks keep alive, together."""


@dataclass(frozen=True, slots=True)
class TasksResult:
    """Logical stacks, the most frequent first. `waiting` counts all boxes of methods that wait, `finished` those that have ended."""

    stacks: tuple[AsyncStackRow, ...]
    waiting: int
    finished: int
    left_out: int = 0
    cut: int = 0
    """Boxes beyond the bound of the search: their stacks are not in `stacks`."""
