"""Everything that keeps objects alive from outside the heap, in one table of columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from heaphound.runtime.finalizer import FinalizerQueue
from heaphound.runtime.handles import HandleTable
from heaphound.runtime.stack_roots import StackRoot, StackRoots
from heaphound.runtime.stacks.frame import Frame
from heaphound.runtime.statics import Static

STATIC, THREAD_STATIC, STRONG_HANDLE, PINNED_HANDLE, FINALIZER, STACK = range(6)
RootKind = Literal["static-field", "thread-static", "strong-handle", "pinned-handle", "finalizer-queue", "stack"]
KINDS: Final[tuple[RootKind, ...]] = ("static-field", "thread-static", "strong-handle", "pinned-handle", "finalizer-queue", "stack")

# Kinds of handles that keep their object alive (src/coreclr/gc/gcinterface.h, HandleType). Weak ones do not; a dependent handle is an edge
# from its primary to its secondary object. RefCounted ones are taken for strong: whether the count is zero only the COM host knows.
HANDLE_ROOTS = {
    "Strong": STRONG_HANDLE,
    "RefCounted": STRONG_HANDLE,
    "SizedRef": STRONG_HANDLE,
    "Variable": STRONG_HANDLE,
    "Pinned": PINNED_HANDLE,
    "AsyncPinned": PINNED_HANDLE,
}


@dataclass(frozen=True, slots=True)
class Root:
    """One root. `address` is the slot that holds the reference, None for a register; `object` the address of the object's start.

    `exact` is False for a word of a stack that merely looks like a reference.
    """

    kind: RootKind
    address: int | None
    object: int
    exact: bool
    static: Static | None = None
    """The field, for static and thread-static roots."""
    os_id: int | None = None
    """The thread, for stack roots."""
    handle_kind: str | None = None
    stack: StackRoot | None = None
    """The slot in its frame, for exact stack roots."""
    frame: Frame | None = None
    """The frame, for stack roots; None for what native code of the runtime holds, and for words of a whole stack."""

    @property
    def pinned(self) -> bool:
        """Whether it keeps the collector from moving the object."""
        return self.kind == KINDS[PINNED_HANDLE] or (self.stack is not None and self.stack.reference.pinned)

    @property
    def interior(self) -> bool:
        """Whether it may point inside of the object."""
        return self.stack is not None and self.stack.reference.interior


@dataclass(frozen=True)
class RootTable:
    """All roots as columns of one length: kind (index into KINDS), slot (0 = register), object (address of its start), row in its source.

    `incomplete` says in words which kinds are missing or conservative.
    """

    kinds: NDArray[np.uint8]
    slots: NDArray[np.uint64]
    objects: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    certain: NDArray[np.bool_]
    statics: Sequence[Static]
    handles: HandleTable
    stacks: StackRoots
    incomplete: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def root(self, row: int) -> Root:
        """The root of one row with all that is known of it."""
        kind, source = int(self.kinds[row]), int(self.rows[row])
        static = self.statics[source] if kind in (STATIC, THREAD_STATIC) else None
        handle = self.handles.kind_names[self.handles.kinds[source]] if kind in (STRONG_HANDLE, PINNED_HANDLE) else None
        exact = bool(self.certain[row])
        stack = self.stacks.exact[source] if kind == STACK and exact else None
        words = self.stacks.words[source] if kind == STACK and not exact else None
        held = stack or words
        return Root(
            kind=KINDS[kind],
            address=int(self.slots[row]) or None,
            object=int(self.objects[row]),
            exact=exact,
            static=static,
            os_id=None if held is None else held.os_id,
            handle_kind=handle,
            stack=stack,
            frame=None if held is None else held.frame,
        )

    def exact(self) -> NDArray[np.bool_]:
        """Mask of the exact rows: all but words of stacks that merely look like references."""
        return self.certain

    def rows_of(self, address: int) -> NDArray[np.int64]:
        """Rows whose object starts at `address`, the most telling kind first (static before handle before stack, exact before words)."""
        rows = np.flatnonzero(self.objects == np.uint64(address))
        return rows[np.argsort(self.kinds[rows], kind="stable")]


Column = tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32]]


def root_table(
    statics: Sequence[Static],
    handles: HandleTable,
    queue: FinalizerQueue,
    stacks: StackRoots,
    incomplete: Sequence[str],
) -> RootTable:
    """Join the sources; `incomplete` says which of them could not be read."""
    columns = [_statics(statics), _handles(handles), _finalizer(queue), _stack(stacks.exact)]
    certain = sum(len(column[0]) for column in columns)
    for row, words in enumerate(stacks.words):
        count = len(words.objects)
        columns.append((np.full(count, STACK, dtype=np.uint8), words.slots, words.objects, np.full(count, row, dtype=np.uint32)))
    return RootTable(
        np.concatenate([column[0] for column in columns]),
        np.concatenate([column[1] for column in columns]),
        np.concatenate([column[2] for column in columns]),
        np.concatenate([column[3] for column in columns]),
        np.arange(sum(len(column[0]) for column in columns)) < certain,
        statics,
        handles,
        stacks,
        tuple(incomplete),
    )


def _statics(statics: Sequence[Static]) -> Column:
    held = [(row, static, static.object) for row, static in enumerate(statics) if static.object]
    return (
        np.array([STATIC if static.thread is None else THREAD_STATIC for _, static, _ in held], dtype=np.uint8),
        np.array([static.slot for _, static, _ in held], dtype=np.uint64),
        np.array([target for _, _, target in held], dtype=np.uint64),
        np.array([row for row, _, _ in held], dtype=np.uint32),
    )


def _handles(handles: HandleTable) -> Column:
    none = 0xFF
    of_kind = np.array([HANDLE_ROOTS.get(name, none) for name in handles.kind_names] or [none], dtype=np.uint8)
    kinds = of_kind[handles.kinds]
    rows = np.flatnonzero((kinds != none) & (handles.objects != 0))
    return kinds[rows], handles.addresses[rows], handles.objects[rows], rows.astype(np.uint32)


def _finalizer(queue: FinalizerQueue) -> Column:
    ready = queue.ready
    return (
        np.full(len(ready), FINALIZER, dtype=np.uint8),
        ready.slots,
        ready.objects,
        np.arange(len(ready), dtype=np.uint32),
    )


def _stack(roots: Sequence[StackRoot]) -> Column:
    return (
        np.full(len(roots), STACK, dtype=np.uint8),
        np.array([root.reference.address or 0 for root in roots], dtype=np.uint64),
        np.array([root.object for root in roots], dtype=np.uint64),
        np.arange(len(roots), dtype=np.uint32),
    )
