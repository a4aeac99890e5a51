"""Managed threads and their frames."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame, innermost first."""

    kind: str
    """``managed``, ``funclet`` (a catch, finally or filter body), or the class of the runtime's own Frame: ``InlinedCallFrame`` ..."""
    ip: Address
    """Where the frame goes on; for a Frame of the runtime where the thread was in native code."""
    sp: Address
    """Stack pointer; for a Frame of the runtime its address."""
    method: str | None
    """For a Frame of the runtime the method that it stands for, where it says one."""
    module: str | None = None
    il_offset: int | None = None
    file: str | None = None
    line: int | None = None
    problem: str | None = None
    """Why a part of the frame could not be read."""


@dataclass(frozen=True, slots=True)
class ExceptionRef:
    """An exception object."""

    address: Address
    type: str | None


@dataclass(frozen=True, slots=True)
class WaitRow:
    """What a thread waits for, by the methods on its stack."""

    kind: str
    """``monitor enter``, ``monitor wait``, ``task``, ``sleep``, ``wait handle``, ``socket events``, ``idle pool worker`` ..."""
    method: str
    """The method on the stack that tells."""
    object: Address | None = None
    """The lock, where the stack tells which."""
    type: str | None = None
    owner: int | None = None
    """Managed id of the thread that holds the lock."""


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One managed thread."""

    managed_id: int
    os_id: int
    """0 for a thread that has ended or not started."""
    name: str | None
    state: str
    frames: tuple[FrameRow, ...] = ()
    address: Address | None = None
    """The runtime's Thread."""
    gc_mode: str | None = None
    """``Cooperative`` or ``Preemptive``."""
    exception: ExceptionRef | None = None
    """The exception that it threw last and has not forgotten."""
    nested_exceptions: tuple[ExceptionRef, ...] = ()
    """Those that it is handling, innermost first; before 9.0 not known."""
    locks: tuple[Address, ...] = ()
    """Objects whose monitor it holds, as far as sync blocks tell (an uncontended lock may be in the object's header only)."""
    waits: WaitRow | None = None
    """None for a thread that runs, or waits in a way that is not known."""
    retained_bytes: int | None = None
    """What only its stack keeps alive; None where that was not asked for, or its stack holds nothing for certain."""
    frames_left_out: int = 0
    stack_end: str | None = None
    """Why the frames end before the last one; None where all were walked."""


@dataclass(frozen=True, slots=True)
class ThreadsResult:
    """All managed threads."""

    threads: tuple[ThreadRow, ...]
