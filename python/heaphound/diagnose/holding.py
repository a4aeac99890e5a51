"""Who holds an object: its most telling root, the path from there, and both in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from heaphound.address import Address
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import FindingRoot
from heaphound.runtime.framework import is_framework
from heaphound.runtime.roots import KINDS, Root, RootTable
from heaphound.runtime.stacks.frame import Frame
from heaphound.runtime.threads import Thread

PATHS_COMPARED = 16
STEPS_OF_A_FRAME = 3  # so much longer may a path from a lasting root be than one from a stack


@dataclass(frozen=True, slots=True)
class Held:
    """The root that tells most, and the objects from what it holds to the object asked for. No root and no path: nothing holds it."""

    root: Root | None
    path: tuple[int, ...]
    complete: bool


def best_root(roots: RootTable, address: int) -> Root | None:
    """The most telling root of the object at an address: a static field before a handle before a stack word; None if there is none."""
    rows = roots.rows_of(address)
    return roots.root(int(rows[0])) if len(rows) else None


def held_by(subject: Subject, index: int) -> Held:
    """The root that explains best why an object is alive: a static field of the program's own before all others, then the shortest path.

    A path through .NET's own statics (its timers, say) tells less the longer it is, and a frame may be gone a moment later.
    """
    found = subject.graph.paths_to(index, PATHS_COMPARED)
    best: tuple[tuple[int, int, int], Root, tuple[int, ...]] | None = None
    for path in found.paths:
        root = best_root(subject.roots, subject.address_of(path[0]))
        if root is not None:
            rank = _rank(root, len(path))
            if best is None or rank < best[0]:
                best = (rank, root, path)
    return Held(None, (), found.complete) if best is None else Held(best[1], best[2], found.complete)


def _rank(root: Root, steps: int) -> tuple[int, int, int]:
    if not root.exact:
        return 2, steps, 0
    if root.static is not None and not is_framework(root.static.declaring_type):
        return 0, KINDS.index(root.kind), steps
    return 1, steps + (STEPS_OF_A_FRAME if root.os_id is not None else 0), KINDS.index(root.kind)


def thread_of(threads: Sequence[Thread], root: Root) -> int | None:
    """Managed id of the thread of a thread static or a stack word; None for others and for threads that run no managed code."""
    if root.static is not None:
        return root.static.thread
    if root.os_id is None:
        return None
    return next((thread.managed_id for thread in threads if thread.os_id == root.os_id), None)


def root_words(root: Root) -> str:
    """A root in words: `static Ns.Type.field`, `Strong handle 0x...`, `stack of thread 4242 in Ns.Type.Method()`."""
    if root.static is not None:
        kind = "static" if root.static.thread is None else f"thread static (thread {root.static.thread})"
        return f"{kind} {root.static.declaring_type}.{root.static.field}"
    if root.handle_kind is not None:
        return f"{root.handle_kind} handle {root.address:#x}"
    if root.os_id is not None:
        method = frame_method(root.frame)
        words = f"stack of thread {root.os_id}" if method is None else f"stack of thread {root.os_id} in {method}"
        return words if root.exact else f"{words} (conservative)"
    return "finalizer queue"


def frame_method(frame: Frame | None) -> str | None:
    """The method of a frame, or that a Frame of the runtime stands for; None where there is none or it cannot be named."""
    return None if frame is None or frame.method is None else frame.method.full_name


def finding_root(threads: Sequence[Thread], root: Root | None) -> FindingRoot:
    """The root of a finding; kind `none` if nothing holds the object."""
    if root is None:
        return FindingRoot("none")
    return FindingRoot(
        kind=root.kind,
        declaring_type=None if root.static is None else root.static.declaring_type,
        field=None if root.static is None else root.static.field,
        thread=thread_of(threads, root),
        method=frame_method(root.frame),
        address=None if root.address is None else Address(root.address),
    )
