"""Paths from roots to an object."""

from dataclasses import dataclass

from heaphound.address import Address
from heaphound.results.analyze import PathStep
from heaphound.results.roots import RootRow


@dataclass(frozen=True, slots=True)
class PathRow:
    """One shortest path: the root, then objects; the first is what the root holds, the last is the target."""

    root: RootRow
    path: tuple[PathStep, ...]
    further_roots: tuple[RootRow, ...] = ()
    """Other roots of the same first object, such as slots of stacks beside a static field; 10 of them, or all with all paths."""
    further_root_count: int = 0
    """All of them, also those that the limit left out."""


@dataclass(frozen=True, slots=True)
class PathResult:
    """Paths to `target`. No path and `complete` means that nothing keeps it alive; no path and not `complete` means unknown."""

    target: Address
    type: str
    paths: tuple[PathRow, ...]
    complete: bool
    left_out: int = 0
    """Further roots that reach it, beyond the limit."""
    retained_bytes: int | None = None
