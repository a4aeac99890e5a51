"""Roots on the stacks of managed threads: what each frame holds, exactly where the runtime tells, else word by word in that frame alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heaphound._core import Heap
from heaphound.dump.core import Core
from heaphound.errors import HeaphoundError, LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.frame_roots import FrameReferences, gc_frame_references
from heaphound.runtime.gc_info.frame_slots import Reference, frame_references, live_slots
from heaphound.runtime.heap import GCHeap
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stack_words import NO_OBJECT, StackEnds, StackWords, scan_words
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.threads import Thread

_SIGNAL_FRAME_BYTES = 1_024  # struct ucontext with all general registers; what follows are those of vectors (asm/ucontext.h)
_ARGUMENT_BYTES = 512  # of stack arguments that a Frame may protect in its caller's frame: 64 words
_FRAME_ERRORS = (Unreadable, Malformed, LayoutError)


@dataclass(frozen=True, slots=True)
class StackRoot:
    """One exact root. `object` is the start of the object; `reference.value` points inside of it where it is interior.

    `frame` is None for a reference that the runtime's native code protects; `gc_frame` then is the address of its GCFrame.
    """

    os_id: int
    frame: Frame | None
    reference: Reference
    object: int
    gc_frame: int | None = None


@dataclass(frozen=True, slots=True)
class StackRoots:
    """Exact roots, conservative words where there are none, and what is missing or conservative, in words."""

    exact: tuple[StackRoot, ...]
    words: tuple[StackWords, ...]
    incomplete: tuple[str, ...]


def read_stack_roots(core: Core, walker: StackWalker, threads: Sequence[Thread], table: Heap, heap: GCHeap) -> StackRoots:
    """The roots of all threads that run managed code. Native frames have none: what native code protects is in Frames and GCFrames.

    A frame that cannot be decoded is looked through conservatively, alone; so is the rest of a stack behind the point where the walk
    ended. Raises LayoutError where the runtime's GcInfo is not known. O(frames).
    """
    reader = _Reader(core, walker, table, StackEnds(core, heap))
    for thread in threads:
        if thread.os_id is not None:
            reader.read(thread, thread.os_id)
    return StackRoots(reader.resolve(), tuple(reader.words), (*_conservative(reader.words), *reader.incomplete))


def _conservative(pieces: Sequence[StackWords]) -> list[str]:
    """One sentence for all pieces of stacks that were looked through, with the commonest reason: a process has thousands of threads."""
    threads = len({piece.os_id for piece in pieces})
    if not threads:
        return []
    whose = f"the stack of thread {pieces[0].os_id}" if threads == 1 else f"{threads} stacks"
    reason = Counter(piece.reason for piece in pieces).most_common(1)[0][0]
    return [f"stacks: in parts of {whose} every word that points into an object counts, also a stale one: {reason}"]


class _Reader:
    """Collects the roots of one dump's threads."""

    def __init__(self, core: Core, walker: StackWalker, table: Heap, ends: StackEnds) -> None:
        self._core = core
        self._walker = walker
        self._runtime: Runtime = walker.runtime
        self._explicit = FrameReferences(walker.runtime, walker.locator)
        self._table = table
        self._ends = ends
        self._registers = {thread.os_id: thread.registers for thread in core.threads}
        self._found: list[tuple[int, Frame | None, Reference, int | None]] = []
        self._looked_at = 0
        self.words: list[StackWords] = []
        self.incomplete: list[str] = []

    def read(self, thread: Thread, os_id: int) -> None:
        """Add one thread."""
        reached: Mapping[str, int] | None = None
        for frame in self._walker.walk(thread):
            if isinstance(frame, StackEnd):
                self._rest(os_id, frame, self._registers.get(os_id, {}) if reached is None else reached)
                break
            if reached is None:
                self._innermost(thread, os_id, frame)
            caller = frame.caller if isinstance(frame, ManagedFrame) else frame.resume
            reached = reached or {} if caller is None else caller.values
            try:
                self._found.extend((os_id, frame, reference, None) for reference in self._references(frame))
            except _FRAME_ERRORS as error:
                self._scan(os_id, frame, str(error))
        try:
            found = gc_frame_references(self._runtime, thread)
            self._found.extend((os_id, None, reference, gc_frame) for gc_frame, reference in found)
        except _FRAME_ERRORS as error:
            self.incomplete.append(f"stack of thread {os_id}: what native code of the runtime protects cannot be read: {error}")

    def resolve(self) -> tuple[StackRoot, ...]:
        """The roots found, without those that point to no object: a byref may point into a stack, or just behind an object."""
        values = np.array([reference.value for _, _, reference, _ in self._found], dtype=np.uint64)
        indices = self._table.indices_containing(values)
        known = indices != NO_OBJECT
        starts = np.zeros(len(values), dtype=np.uint64)
        starts[known] = self._table.addresses_of(indices[known])
        return tuple(
            StackRoot(os_id, frame, reference, start, gc_frame)
            for (os_id, frame, reference, gc_frame), start in zip(self._found, starts.tolist(), strict=True)
            if start
        )

    def _references(self, frame: Frame) -> list[Reference]:
        if frame.dead:
            return []
        if isinstance(frame, ExplicitFrame):
            return self._explicit.of(frame)
        info = self._walker.gc_infos.at(frame.code.gc_info)
        self._looked_at += len(live_slots(info, frame, frame.filter_funclet))
        if self._looked_at > LIMITS.stack_references:
            raise LimitExceeded(f"the frames of all threads have more than {LIMITS.stack_references} live slots")
        return frame_references(self._runtime.memory, info, frame, frame.filter_funclet)

    def _innermost(self, thread: Thread, os_id: int, frame: Frame) -> None:
        """A thread in native code that the collector would have to wait for has its references anywhere in there."""
        if not thread.cooperative or (isinstance(frame, ManagedFrame) and frame.active):
            return
        reason = "the thread runs native code of the runtime that handles references without telling where"
        registers, start = self._registers[os_id], self._core_stack_pointer(os_id)
        run = self._walker.interruption(thread)
        if run is not None:  # a signal's handler, which has saved the registers, and maybe has a stack of its own
            self._add(os_id, (start, run.frames[run.switched - 1].sp + _SIGNAL_FRAME_BYTES), registers, frame, reason)
            registers, start = {}, run.frames[run.switched].sp
        end = self._ends.behind(os_id, start)
        if end is not None and not start <= frame.sp <= end:
            self.incomplete.append(f"stack of thread {os_id}: nothing leads from the stack that it runs on to that of its Frames")
            self._add(os_id, (start, end), registers, frame, reason)
            return
        self._add(os_id, (start, frame.sp), registers, frame, reason)

    def _core_stack_pointer(self, os_id: int) -> int:
        return next(thread.stack_pointer for thread in self._core.threads if thread.os_id == os_id)

    def _scan(self, os_id: int, frame: Frame, reason: str) -> None:
        """Look through exactly the range of one frame, and its registers where nothing tells where they are."""
        if isinstance(frame, ManagedFrame):
            if frame.caller is None:
                return  # the walk ends there, and what follows covers it
            self._add(os_id, (frame.sp, frame.caller.sp), frame.context.values, frame, reason)
            return
        end = frame.sp if frame.resume is None else frame.resume.sp + _ARGUMENT_BYTES
        self._add(os_id, (frame.sp, end), {}, frame, reason)

    def _rest(self, os_id: int, end: StackEnd, registers: Mapping[str, int]) -> None:
        """The stack from where the walk ended, and the registers there, which inner frames saved below that point."""
        limit = self._ends.behind(os_id, end.sp)
        if limit is None or not end.sp:
            self.incomplete.append(f"the stack of thread {os_id} is not in the dump: {end.reason}")
            return
        self._add(os_id, (end.sp, limit), registers, None, end.reason)

    def _add(self, os_id: int, bounds: tuple[int, int], registers: Mapping[str, int], frame: Frame | None, reason: str) -> None:
        behind = self._ends.behind(os_id, bounds[0])
        end = min(bounds[1], bounds[1] if behind is None else behind, bounds[0] + LIMITS.frame_scan_bytes)
        try:
            self.words.append(scan_words(self._core, self._table, os_id, (bounds[0], end), registers, frame, reason))
        except HeaphoundError as error:
            self.incomplete.append(f"stack of thread {os_id}: {reason}; nor can its words be read: {error}")
