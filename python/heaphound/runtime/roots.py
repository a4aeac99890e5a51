"""Everything that keeps objects alive from outside the heap, in one table of columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from heaphound.runtime.finalizer import FinalizerQueue
from heaphound.runtime.handles import HandleTable
from heaphound.runtime.stack_words import StackWords
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
    """One root. `address` is the slot that holds the reference, None for a register; `object` the address of the object's start."""

    kind: RootKind
    address: int | None
    object: int
    exact: bool
    static: Static | None = None
    """The field, for static and thread-static roots."""
    os_id: int | None = None
    """The thread, for stack roots."""
    handle_kind: str | None = None


@dataclass(frozen=True)
class RootTable:
    """All roots as columns of one length: kind (index into KINDS), slot (0 = register), object (address of its start), row in its source.

    `incomplete` says in words which kinds are missing or conservative.
    """

    kinds: NDArray[np.uint8]
    slots: NDArray[np.uint64]
    objects: NDArray[np.uint64]
    rows: NDArray[np.uint32]
    statics: Sequence[Static]
    handles: HandleTable
    stack_threads: Sequence[int]
    incomplete: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def root(self, row: int) -> Root:
        """The root of one row with all that is known of it."""
        kind, source = int(self.kinds[row]), int(self.rows[row])
        static = self.statics[source] if kind in (STATIC, THREAD_STATIC) else None
        handle = self.handles.kind_names[self.handles.kinds[source]] if kind in (STRONG_HANDLE, PINNED_HANDLE) else None
        return Root(
            kind=KINDS[kind],
            address=int(self.slots[row]) or None,
            object=int(self.objects[row]),
            exact=kind != STACK,
            static=static,
            os_id=self.stack_threads[source] if kind == STACK else None,
            handle_kind=handle,
        )

    def exact(self) -> NDArray[np.bool_]:
        """Mask of the exact rows: all but words of stacks."""
        return np.asarray(self.kinds != STACK)

    def rows_of(self, address: int) -> NDArray[np.int64]:
        """Rows whose object starts at `address`, the most telling kind first (static before handle before stack)."""
        rows = np.flatnonzero(self.objects == np.uint64(address))
        return rows[np.argsort(self.kinds[rows], kind="stable")]


Column = tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32]]


def root_table(
    statics: Sequence[Static],
    handles: HandleTable,
    queue: FinalizerQueue,
    stacks: Sequence[StackWords],
    incomplete: Sequence[str],
) -> RootTable:
    """Join the sources; `incomplete` says which of them could not be read."""
    columns = [_statics(statics), _handles(handles), _finalizer(queue), *(_stack(row, words) for row, words in enumerate(stacks))]
    return RootTable(
        np.concatenate([column[0] for column in columns]),
        np.concatenate([column[1] for column in columns]),
        np.concatenate([column[2] for column in columns]),
        np.concatenate([column[3] for column in columns]),
        statics,
        handles,
        tuple(words.os_id for words in stacks),
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
        np.array([entry.slot for entry in ready], dtype=np.uint64),
        np.array([entry.object for entry in ready], dtype=np.uint64),
        np.arange(len(ready), dtype=np.uint32),
    )


def _stack(row: int, words: StackWords) -> Column:
    count = len(words.objects)
    return np.full(count, STACK, dtype=np.uint8), words.slots, words.objects, np.full(count, row, dtype=np.uint32)
