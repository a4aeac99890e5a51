"""Stacks of threads, one by one or merged."""

from dataclasses import dataclass

from heaphound.results.threads import ThreadRow


@dataclass(frozen=True, slots=True)
class ParallelRow:
    """A run of frames that the same threads have in common, in a tree given as rows: children follow their parent, one `depth` deeper."""

    depth: int
    threads: tuple[int, ...]
    """Managed ids."""
    methods: tuple[str, ...]
    """Outermost first."""
    ends: tuple[int, ...] = ()
    """Managed ids of the threads whose innermost frame is the last of `methods`."""
    methods_left_out: int = 0


@dataclass(frozen=True, slots=True)
class StackResult:
    """Threads with their frames, or `parallel`: the merged tree of the stacks of all of them."""

    threads: tuple[ThreadRow, ...]
    parallel: tuple[ParallelRow, ...] | None = None
    without_frames: tuple[int, ...] = ()
    """Managed ids of threads that run no managed code, and of those whose stack could not be walked at all."""
