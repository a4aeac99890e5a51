"""Exceptions that a thread has thrown and not finished handling, and which frames each of them has unwound.

Sources: src/coreclr/vm/exceptionhandling.h and .cpp of v3.1 to v10.0 (ExceptionTracker, HasFrameBeenUnwoundByAnyActiveException,
GetOrCreateTracker), exinfo.h since v9.0 (ExInfo). A range is empty until the second pass begins: it is reset before the flag is set,
so that it covers only frames that no handler will run in any more.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.exception_trackers import tracker_addresses
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame
from heaphound.runtime.threads import NO_FRAME

_UNWIND_HAS_STARTED = 4  # Ex_UnwindHasStarted of src/coreclr/vm/exstatecommon.h
_EMPTY = ((1 << 64) - 1, 0)  # the bounds of a range that has been reset
_FILTER_CLAUSE = 1  # COR_PRF_CLAUSE_FILTER


@dataclass(frozen=True, slots=True)
class ExceptionInFlight:
    """One of them. Places are addresses of stacks; 0 for what it has not reached."""

    unwinding: bool
    """Whether it is in its second pass, which runs finally blocks and unwinds."""
    low: int
    """Stack pointer of the innermost frame that it went through in this pass."""
    high: int
    """Stack pointer of the outermost one, which it is in: all frames further in are unwound."""
    handler_caller_sp: int | None
    """Stack pointer behind the frame that catches it; 0 until that is found, None where the layout does not tell."""
    passing: "Passing | None"


@dataclass(frozen=True, slots=True)
class Passing:
    """What ExceptionTracker keeps besides (up to 8.0), where native code dispatches and handlers may be gone from the stack."""

    filtering: bool
    """Whether the handler that it called last is a filter."""
    entered: bool
    """Whether the handler that it called last has begun."""
    enclosing_caller_sp: int
    """Stack pointer behind the frame that the handler called last belongs to."""
    collapsed_enclosing_caller_sp: int
    """The same of an exception that this one has overtaken."""
    current_establisher: int
    last_unwound_establisher: int
    frames: frozenset[int]
    """Frames of the runtime that it has unwound."""


class ExceptionsInFlight:
    """Those of one thread, the last thrown first."""

    def __init__(self, chain: tuple[ExceptionInFlight, ...], caller_sp_ranges: bool) -> None:
        """`caller_sp_ranges`: whether ranges count by the stack pointer behind a frame (ExceptionTracker of arm64)."""
        self._chain = chain
        self._ranges = sorted((one for one in chain if one.unwinding and one.low <= one.high), key=lambda one: (one.low, one.high))
        self._lows, self._highs = [one.low for one in self._ranges], [one.high for one in self._ranges]
        self._in_order = self._highs == sorted(self._highs)
        self._frames = frozenset(frame for one in self._ranges if one.passing is not None for frame in one.passing.frames)
        self._handlers_gone = _handlers_gone(chain)
        self._by_caller = caller_sp_ranges

    def __bool__(self) -> bool:
        return bool(self._chain)

    def has_unwound(self, frame: Frame) -> bool:
        """Whether one of them has unwound a frame: it lies on the stack still, nothing in it runs again, and no collection looks at it."""
        if isinstance(frame, ExplicitFrame) and frame.frame_address in self._frames:
            return True
        return any(self._unwound_by(one, frame) for one in self._near(frame))

    def _near(self, frame: Frame) -> list[ExceptionInFlight]:
        """Those whose range a frame can be in or next to: an overflow in handlers has hundreds of both."""
        if not self._in_order or not self._ranges:
            return self._ranges
        outer = frame.caller.sp if isinstance(frame, ManagedFrame) and frame.caller is not None else frame.sp
        return self._ranges[bisect_left(self._highs, frame.sp) : bisect_right(self._lows, outer)]

    def _unwound_by(self, one: ExceptionInFlight, frame: Frame) -> bool:
        if isinstance(frame, ManagedFrame):
            if frame.caller is None:
                return False
            reached = frame.caller.sp
        else:
            reached = frame.sp
        inside = one.low <= reached < one.high if self._by_caller else one.low < reached <= one.high
        if inside or one.passing is None:
            return inside
        if isinstance(frame, ExplicitFrame):
            return frame.frame_address in one.passing.frames
        return self._just_left(one, one.passing, frame.sp, reached)

    def _just_left(self, one: ExceptionInFlight, passing: Passing, sp: int, caller_sp: int) -> bool:
        """Whether the outermost frame of the range is unwound, and the range not yet widened by the next."""
        left = one.high == passing.last_unwound_establisher
        if self._by_caller:
            return caller_sp == one.high and (caller_sp < passing.current_establisher or left)
        return sp <= one.high < caller_sp and (caller_sp == passing.current_establisher or left)

    def handler_is_gone(self, frame: ManagedFrame) -> bool:
        """Whether a handler of this frame has begun, and lies on the stack no more: native frames were unwound past it."""
        return frame.caller is not None and frame.caller.sp in self._handlers_gone

    def is_caught_in(self, frame: ManagedFrame) -> bool:
        """Whether the exception thrown last is caught in this frame; it may be where the layout does not tell."""
        if not self._chain or frame.caller is None:
            return False
        return self._chain[0].handler_caller_sp in (None, frame.caller.sp)


def _handlers_gone(chain: tuple[ExceptionInFlight, ...]) -> frozenset[int]:
    """Stack pointers behind the frames whose handlers have begun and lie on the stack no more."""
    found: set[int] = set()
    begun = False
    for one in chain:
        if one.passing is None:
            break
        begun = begun or one.passing.entered
        if not one.passing.filtering:
            found |= {one.passing.enclosing_caller_sp if begun else 0, one.passing.collapsed_enclosing_caller_sp}
        begun = True  # another exception was thrown in it
    return frozenset(found - {0})


NO_EXCEPTIONS = ExceptionsInFlight((), caller_sp_ranges=False)


def read_exceptions(memory: Memory, layout: Layout, machine: str, thread: int) -> ExceptionsInFlight:
    """Those of the runtime's Thread at an address; none where what tells is missing or makes no sense: no frame counts as unwound."""
    if not layout.has("ExceptionInfo", "StackLowBound"):
        return NO_EXCEPTIONS
    tracked = layout.has("ExceptionInfo", "InitialExplicitFrame")
    try:
        chain = tuple(_read(memory, layout, address, tracked) for address in tracker_addresses(memory, layout, thread))
    except (Unreadable, Malformed, LayoutError):
        return NO_EXCEPTIONS
    return ExceptionsInFlight(chain, caller_sp_ranges=tracked and machine == "arm64")


def _read(memory: Memory, layout: Layout, address: int, tracked: bool) -> ExceptionInFlight:
    def word(name: str) -> int:
        return memory.pointer(address + layout.offset("ExceptionInfo", name))

    def four(name: str) -> int:
        return memory.u32(address + layout.offset("ExceptionInfo", name))

    passing = None
    if tracked:
        passing = Passing(
            filtering=four("ClauseType") == _FILTER_CLAUSE,
            entered=four("ManagedCodeEntered") != 0,
            enclosing_caller_sp=word("EnclosingClauseCallerSP"),
            collapsed_enclosing_caller_sp=word("CollapsedEnclosingClauseCallerSP"),
            current_establisher=word("CurrentEstablisherFrame"),
            last_unwound_establisher=word("LastUnwoundEstablisherFrame"),
            frames=frozenset(_frames(memory, layout, word("InitialExplicitFrame"), word("LimitFrame"))),
        )
    low, high = word("StackLowBound"), word("StackHighBound")
    bounded = low != _EMPTY[0] and high != _EMPTY[1]  # a thread is stopped between setting the one and the other, too
    if bounded and not (low <= high and (tracked or address < low)):  # an ExInfo lies below the frames that threw
        raise Malformed(f"the exception at {address:#x} is said to have unwound {low:#x} to {high:#x}")
    return ExceptionInFlight(
        unwinding=bool(four("ExceptionFlags") & _UNWIND_HAS_STARTED),
        low=low,
        high=high,
        handler_caller_sp=word("CallerOfActualHandlerFrame") if layout.has("ExceptionInfo", "CallerOfActualHandlerFrame") else None,
        passing=passing,
    )


def _frames(memory: Memory, layout: Layout, first: int, limit: int) -> Iterator[int]:
    """The chain of Frames from the first that it unwound up to the next that it has not."""
    frame = first
    for _ in range(LIMITS.stack_frames):
        if frame in NO_FRAME or frame == limit:
            return
        yield frame
        frame = memory.pointer(frame + layout.offset("Frame", "Next"))
