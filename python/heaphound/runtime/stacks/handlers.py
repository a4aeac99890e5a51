"""Marks which frames hold no references because an exception is handled: frames that it has unwound, and those whose handler reports.

A catch or finally body is a funclet: a frame of its own, called by the runtime (by the method itself where nothing was thrown), that works
on the variables of its method's frame further out. The runtime lets the funclet report these, skips the frames between, and tells the
method's frame that its funclet has reported (StackFrameIterator of src/coreclr/vm/stackwalk.cpp, GC_FUNCLET_REFERENCE_REPORTING). From
9.0 on the exception is dispatched by managed code, which lies between and is alive. Frames that an exception in its second pass has left
behind are on the stack until its handler returns, and dead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.stacks.exception_clauses import ExceptionClauses
from heaphound.runtime.stacks.exceptions_in_flight import ExceptionsInFlight
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.registers import FRAME_POINTER

_DISPATCHER = "System.Runtime.EH"


def mark_handlers(
    frames: Iterable[Frame | StackEnd], clauses: ExceptionClauses, exceptions: ExceptionsInFlight
) -> Iterator[Frame | StackEnd]:
    """The same frames with `filter_funclet`, `parent_of_funclet`, `dead` and `unwound` set.

    Where the frames end and the method of a handler was not among them, a StackEnd says from where on that is so: what was called dead may
    not be.
    """
    marker = _Marker(clauses, exceptions)
    for frame in frames:
        if isinstance(frame, StackEnd):
            yield frame if marker.funclet is None else replace(frame, sp=marker.funclet.sp)
            return
        if isinstance(frame, ManagedFrame):
            yield marker.managed(frame)
        else:
            yield marker.explicit(frame)
    if marker.funclet is not None:
        yield StackEnd(marker.funclet.sp, _without_method(marker.funclet))


def _without_method(funclet: ManagedFrame) -> str:
    if funclet.code.problem is not None:
        return f"whether the code at {funclet.ip:#x} is a handler is not known: {funclet.code.problem}"
    return f"the handler at {funclet.ip:#x} runs on no frame of its method"


class _Marker:
    """One walk: which funclet's method is looked for, and whether that funclet has reported."""

    def __init__(self, clauses: ExceptionClauses, exceptions: ExceptionsInFlight) -> None:
        self._clauses = clauses
        self._exceptions = exceptions
        self.funclet: ManagedFrame | None = None
        """The handler whose method has not been met yet."""
        self._filter: ManagedFrame | None = None
        self._reported = True
        self._dispatching = False

    def managed(self, frame: ManagedFrame) -> ManagedFrame:
        """A frame of managed code."""
        if self._exceptions.has_unwound(frame):
            frame = replace(frame, unwound=True, dead=True)
        if self.funclet is not None:
            return self._behind(frame, self.funclet)
        if self._filter is not None and _is_parent(frame, self._filter):
            self._filter = None
        if self._filter is None and self._exceptions.handler_is_gone(frame):
            self._reported = False
            frame = self._parent(frame)
            if frame.code.is_funclet:
                self.funclet, self._dispatching = frame, True
            return frame
        if not frame.code.is_funclet:
            return frame
        if _is_filter(frame, self._clauses):
            self._filter = frame
            return replace(frame, filter_funclet=True)
        self.funclet, self._dispatching = frame, True
        self._reported = self._reported and not frame.unwound
        return frame

    def explicit(self, frame: ExplicitFrame) -> ExplicitFrame:
        """A Frame of the runtime."""
        unwound = self._exceptions.has_unwound(frame)
        skipped = self.funclet is not None and not self._dispatching
        return replace(frame, dead=True, unwound=unwound) if skipped or unwound else frame

    def _behind(self, frame: ManagedFrame, funclet: ManagedFrame) -> ManagedFrame:
        """A frame that is further out than a handler, up to its method's."""
        if _is_parent(frame, funclet):
            self.funclet = None
            return self._parent(frame)
        self._dispatching = frame.code.is_funclet or (self._dispatching and _is_dispatcher(frame))
        if self._dispatching and not frame.code.is_funclet:
            return frame
        if frame.code.is_funclet and not frame.unwound and not self._reported and _is_same(frame, funclet):
            return self._parent(frame)
        return replace(frame, dead=True)

    def _parent(self, frame: ManagedFrame) -> ManagedFrame:
        """The frame that a handler belongs to. It reports for a handler that is unwound if the exception is caught in it."""
        if frame.unwound:
            self._reported = True
            return replace(frame, parent_of_funclet=True)
        skip = True
        if not self._reported:
            skip = not self._exceptions.is_caught_in(frame)
            self._reported = not skip or not frame.code.is_funclet
        return replace(frame, parent_of_funclet=skip)


def _is_parent(frame: ManagedFrame, funclet: ManagedFrame) -> bool:
    """Whether a frame is the one of the method that a funclet works on."""
    return not frame.code.is_funclet and _is_same(frame, funclet)


def _is_same(frame: ManagedFrame, funclet: ManagedFrame) -> bool:
    """The same method, and the same frame pointer, by which the funclet finds its method's frame."""
    if frame.code.start != funclet.code.start:
        return False
    pointers = [item.context.values.get(FRAME_POINTER[item.context.machine]) for item in (frame, funclet)]
    return None in pointers or pointers[0] == pointers[1]


def _is_dispatcher(frame: ManagedFrame) -> bool:
    return frame.code.method is not None and frame.code.method.declaring_type == _DISPATCHER


def _is_filter(frame: ManagedFrame, clauses: ExceptionClauses) -> bool:
    try:
        return clauses.is_filter(frame.code)
    except (Unreadable, Malformed, LayoutError):
        return False  # then the frames behind it count as dead up to its method, as behind any other handler
