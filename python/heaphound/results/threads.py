"""Managed threads and their frames."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One frame, innermost first."""

    kind: str
    ip: Address
    sp: Address
    method: str | None
    module: str | None = None
    il_offset: int | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """One managed thread."""

    managed_id: int
    os_id: int
    """0 for a thread that has ended or not started."""
    name: str | None
    state: str
    frames: tuple[FrameRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreadsResult:
    """All managed threads."""

    threads: tuple[ThreadRow, ...]
