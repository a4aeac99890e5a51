"""References that the runtime's own code protects: slots named by explicit Frames, and the chain of GCFrames."""

from collections.abc import Iterator

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.runtime.threads import NO_FRAME, Thread

# Slots that a Frame's array of pointers has (HelperMethodFrame_1OBJ and its siblings, src/coreclr/vm/frames.h, 6.0 to 9.0).
_POINTERS = {"HelperMethodFrame_1OBJ": 1, "HelperMethodFrame_2OBJ": 2, "HelperMethodFrame_3OBJ": 3}
_WITHOUT_REFERENCES = frozenset(
    {
        "InlinedCallFrame",
        "HelperMethodFrame",
        "DebuggerClassInitMarkFrame",
        "DebuggerSecurityCodeMarkFrame",
        "DebuggerExitFrame",
        "DebuggerU2MCatchHandlerFrame",
        "FaultingExceptionFrame",
        "SoftwareExceptionFrame",
        "ResumableFrame",
        "RedirectedThreadFrame",
        "FuncEvalFrame",
        "ExceptionFilterFrame",
        "ContextTransitionFrame",
        "GCFrame",
    }
)


def explicit_references(runtime: Runtime, frame: ExplicitFrame) -> list[Reference]:
    """The references that a Frame reports to the collector. Raises Malformed for a kind whose references cannot be told, Unreadable."""
    memory, layout = runtime.memory, runtime.layout
    if frame.frame_type in _WITHOUT_REFERENCES:
        return []
    if frame.frame_type in _POINTERS:
        array = frame.frame_address + layout.offset("HelperMethodFrame_1OBJ", "ObjRefs")
        slots = memory.words(array, _POINTERS[frame.frame_type])
        return list(_references(runtime, [slot for slot in slots if slot], interior=False))
    if frame.frame_type == "HelperMethodFrame_PROTECTOBJ":
        field = frame.frame_address + layout.offset("HelperMethodFrame_1OBJ", "ObjRefs")
        return list(_array(runtime, memory.pointer(field), memory.u32(field + 8), interior=False))
    raise Malformed(f"the arguments that a {frame.frame_type} protects cannot be told")


def gc_frame_references(runtime: Runtime, thread: Thread) -> list[tuple[int, Reference]]:
    """(GCFrame, reference) of all references that native code of the runtime protects on a thread (GCPROTECT_BEGIN).

    Raises Unreadable, Malformed when the chain makes no sense.
    """
    memory, layout = runtime.memory, runtime.layout
    found: list[tuple[int, Reference]] = []
    for frame in _gc_frames(runtime, thread):
        owner = memory.pointer(frame + layout.offset("GCFrame", "Thread"))
        if owner != thread.address:
            raise Malformed(f"the GCFrame at {frame:#x} belongs to thread {owner:#x}, not to {thread.address:#x}")
        slots = memory.pointer(frame + layout.offset("GCFrame", "ObjRefs"))
        count = memory.u32(frame + layout.offset("GCFrame", "NumObjRefs"))
        interior = memory.u32(frame + layout.offset("GCFrame", "MaybeInterior")) != 0
        found.extend((frame, reference) for reference in _array(runtime, slots, count, interior))
    return found


def _gc_frames(runtime: Runtime, thread: Thread) -> Iterator[int]:
    """GCFrames have a chain of their own; to 3.1 they are Frames among the others, told by their vtable (frames.h)."""
    memory, layout = runtime.memory, runtime.layout
    if layout.has("Thread", "GCFrame"):
        yield from _chain(runtime, memory.pointer(thread.address + layout.offset("Thread", "GCFrame")), layout.offset("GCFrame", "Next"))
        return
    vtable = layout.global_address("GCFrameVTable")
    first = memory.pointer(thread.address + layout.offset("Thread", "Frame"))
    yield from (frame for frame in _chain(runtime, first, layout.offset("Frame", "Next")) if memory.pointer(frame) == vtable)


def _chain(runtime: Runtime, frame: int, next_offset: int) -> Iterator[int]:
    for _ in range(LIMITS.gc_frames):
        if frame in NO_FRAME:
            return
        yield frame
        following = runtime.memory.pointer(frame + next_offset)
        if following not in NO_FRAME and following <= frame:
            raise Malformed(f"the chain of GCFrames does not move up at {frame:#x}: the next is {following:#x}")
        frame = following
    raise LimitExceeded(f"more than {LIMITS.gc_frames} GCFrames on one thread")


def _array(runtime: Runtime, start: int, count: int, interior: bool) -> Iterator[Reference]:
    if count > LIMITS.gc_slots:
        raise LimitExceeded(f"the runtime's code is said to protect {count} references at {start:#x}")
    return _references(runtime, [start + 8 * index for index in range(count)], interior)


def _references(runtime: Runtime, slots: list[int], interior: bool) -> Iterator[Reference]:
    for slot in slots:
        value = runtime.memory.pointer(slot)
        if value:
            yield Reference(slot, value, interior, pinned=False, register=None, offset=None)
