"""Stacks of threads, one by one or merged."""

from dataclasses import dataclass

from heaphound.results.threads import FrameRow, ThreadRow, WaitRow


@dataclass(frozen=True, slots=True)
class ParallelRow:
    """A run of frames that the same threads have in common, in a tree given as rows: children follow their parent, one `depth` deeper."""

    depth: int
    threads: tuple[int, ...]
    """Managed ids."""
    methods: tuple[str, ...]
    """Outermost first; native functions as ``libc.so.6!poll``."""
    ends: tuple[int, ...] = ()
    """Managed ids of the threads whose innermost frame is the last of `methods`."""
    methods_left_out: int = 0
    """Where the limit cut the run: methods between `methods` and `innermost_methods`."""
    innermost_methods: tuple[str, ...] = ()
    """Where the limit cut the run: the last methods, at most 20."""
    recursion_left_out: tuple[str, ...] = ()
    """The methods that the limit left out, where they are at most 16: a recursion. Empty otherwise."""
    native_threads: tuple[int, ...] = ()
    """OS ids of the threads among them that the runtime does not know."""
    native_ends: tuple[int, ...] = ()
    """As `ends`, of `native_threads`."""


@dataclass(frozen=True, slots=True)
class NativeThreadRow:
    """A thread that the runtime does not know: of the garbage collector, of a library, the runtime's own helpers."""

    os_id: int
    frames: tuple[FrameRow, ...]
    waits: WaitRow | None = None
    """None for a thread that runs, or waits in a way that is not known."""
    frames_left_out: int = 0
    """As of a managed thread, and the next two."""
    outermost_frames: tuple[FrameRow, ...] = ()
    methods_left_out: tuple[str, ...] = ()
    stack_end: str | None = None
    """Why the frames end before the last one; None where all were walked."""


@dataclass(frozen=True, slots=True)
class StackResult:
    """Threads with their frames, or `parallel`: the merged tree of the stacks of all of them."""

    threads: tuple[ThreadRow, ...]
    parallel: tuple[ParallelRow, ...] | None = None
    without_frames: tuple[int, ...] = ()
    """Managed ids of threads that run no managed code, and of those whose stack could not be walked at all."""
    native_threads: tuple[NativeThreadRow, ...] = ()
    """Where native frames were asked for: the threads that the runtime does not know."""
