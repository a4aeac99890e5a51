"""Marks what lies between a running exception handler and the method that it belongs to: those frames are dead, and hold no references.

A catch or finally body is a funclet: a frame of its own, called by the runtime (by the method itself where nothing was thrown), that works
on the variables of its method's frame further out. The runtime lets the funclet report these, skips the frames between, and tells the
method's frame that its funclet has reported (StackFrameIterator of src/coreclr/vm/stackwalk.cpp, GC_FUNCLET_REFERENCE_REPORTING). From
9.0 on the exception is dispatched by managed code, which lies between and is alive.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.stacks.exception_clauses import ExceptionClauses
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.registers import FRAME_POINTER

_DISPATCHER = "System.Runtime.EH"


def mark_handlers(frames: Iterable[Frame | StackEnd], clauses: ExceptionClauses) -> Iterator[Frame | StackEnd]:
    """The same frames with `filter_funclet`, `parent_of_funclet` and `dead` set.

    Where the frames end and the method of a handler was not among them, a StackEnd says from where on that is so: what was called dead may
    not be.
    """
    funclet: ManagedFrame | None = None
    dispatching = False
    for frame in frames:
        if isinstance(frame, StackEnd):
            yield frame if funclet is None else replace(frame, sp=funclet.sp)
            return
        if isinstance(frame, ManagedFrame):
            if funclet is not None and _is_parent(frame, funclet):
                funclet = None
                yield replace(frame, parent_of_funclet=True)
            elif funclet is not None:
                dispatching = frame.code.is_funclet or (dispatching and _is_dispatcher(frame))
                yield frame if dispatching and not frame.code.is_funclet else replace(frame, dead=True)
            elif not frame.code.is_funclet:
                yield frame
            elif _is_filter(frame, clauses):
                yield replace(frame, filter_funclet=True)
            else:
                funclet, dispatching = frame, True
                yield frame
        else:
            yield _explicit(frame, funclet is not None, dispatching)
    if funclet is not None:
        yield StackEnd(funclet.sp, f"the handler at {funclet.ip:#x} runs on no frame of its method")


def _explicit(frame: ExplicitFrame, skipping: bool, dispatching: bool) -> ExplicitFrame:
    return replace(frame, dead=True) if skipping and not dispatching else frame


def _is_parent(frame: ManagedFrame, funclet: ManagedFrame) -> bool:
    """Whether a frame is the one that a funclet works on: the same method, and the same frame pointer, by which the funclet finds it."""
    if frame.code.is_funclet or frame.code.start != funclet.code.start:
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
