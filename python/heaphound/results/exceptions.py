"""Exception objects, on the heap and held by threads."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class ThrownFrameRow:
    """One frame of the stack trace that an exception carries, innermost first."""

    ip: Address
    sp: Address
    method: str | None
    module: str | None = None
    il_offset: int | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ExceptionRow:
    """One exception object."""

    address: Address
    type: str
    hresult: int | None
    """As an unsigned number; None where the dump lacks the object."""
    message: str | None
    """None where it has none, or texts are not to be shown: a message can hold secrets."""
    message_characters: int | None
    """Length of the message; None where it has none, or the dump lacks it."""
    inner: Address | None
    """Of an AggregateException the first of `inners`."""
    threads: tuple[int, ...]
    """Managed ids of threads that threw it last, or are handling it."""
    frames: tuple[ThrownFrameRow, ...] = ()
    frames_left_out: int = 0
    problem: str | None = None
    """Why its stack trace, or the whole object, could not be read."""
    inners: tuple[Address, ...] = ()
    """Of an AggregateException all its inner exceptions, at most 100; empty for others."""


@dataclass(frozen=True, slots=True)
class ExceptionTypeRow:
    """Exceptions of one type."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class ExceptionsResult:
    """Exceptions, those that threads hold first, then by address; and counts of all by type."""

    exceptions: tuple[ExceptionRow, ...]
    types: tuple[ExceptionTypeRow, ...] = ()
    left_out: int = 0
