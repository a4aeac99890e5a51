"""References that the runtime's own code protects: slots named by explicit Frames, and the chain of GCFrames."""

from collections.abc import Iterator

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.arguments.caller_stack import caller_references
from heaphound.runtime.arguments.gc_ref_map import INTERIOR, REFERENCE, VARIABLE_ARGUMENTS, decode_map, find_map
from heaphound.runtime.arguments.hijacked_return import returned_references
from heaphound.runtime.arguments.protected_values import by_ref_references, value_references
from heaphound.runtime.arguments.unmanaged_call import unmanaged_call_references
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.gc_info.frame_slots import Reference
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.explicit_frames import returns_to_caller
from heaphound.runtime.stacks.frame import ExplicitFrame
from heaphound.runtime.threads import NO_FRAME, Thread

# Slots that a Frame's array of pointers has (HelperMethodFrame_1OBJ and its siblings, src/coreclr/vm/frames.h, 6.0 to 9.0).
_POINTERS = {"HelperMethodFrame_1OBJ": 1, "HelperMethodFrame_2OBJ": 2, "HelperMethodFrame_3OBJ": 3}
_CALLS = ("PrestubMethodFrame", "CallCountingHelperFrame", "MulticastFrame")
_CELLS = ("StubDispatchFrame", "ExternalMethodFrame")
_WORD = 8
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


class FrameReferences:
    """Tells the references of explicit Frames of one runtime."""

    def __init__(self, runtime: Runtime, locator: CodeLocator) -> None:
        self._runtime = runtime
        self._memory = runtime.memory
        self._layout = runtime.layout
        self._locator = locator

    def of(self, frame: ExplicitFrame) -> list[Reference]:
        """The references that a Frame reports to the collector. Raises Malformed for a kind whose references cannot be told, Unreadable."""
        memory, layout, kind = self._memory, self._layout, frame.frame_type
        if kind in _WITHOUT_REFERENCES:
            return []
        if kind in _POINTERS:
            array = frame.frame_address + layout.offset("HelperMethodFrame_1OBJ", "ObjRefs")
            slots = memory.words(array, _POINTERS[kind])
            return list(_references(self._runtime, [slot for slot in slots if slot], interior=False))
        if kind == "HelperMethodFrame_PROTECTOBJ":
            field = frame.frame_address + layout.offset("HelperMethodFrame_1OBJ", "ObjRefs")
            return list(_array(self._runtime, memory.pointer(field), memory.u32(field + 8), interior=False))
        if kind in _CALLS and frame.transition_block:
            return self._arguments(frame.method_desc or 0, frame.transition_block)
        if kind == "DynamicHelperFrame" and frame.transition_block:
            return self._helper_arguments(frame, frame.transition_block)
        if kind in _CELLS and frame.transition_block:
            return self._by_map(frame, frame.transition_block)
        if kind == "PInvokeCalliFrame" and frame.transition_block:
            return self._unmanaged_call(frame, frame.transition_block)
        if kind == "ProtectValueClassFrame":
            return value_references(memory, layout, self._locator.methods.types, frame.frame_address)
        if kind == "ProtectByRefsFrame":
            return by_ref_references(memory, layout, self._locator.methods.types, frame.frame_address)
        if kind == "HijackFrame":
            return self._returned(frame)
        raise Malformed(f"the arguments that a {kind} protects cannot be told")

    def _returned(self, frame: ExplicitFrame) -> list[Reference]:
        """Since 10.0 nothing: the registers belong to the frame of the caller."""
        if returns_to_caller(self._layout):
            return []
        if not self._layout.has_contract("HijackedReturn"):
            raise Malformed("what a HijackFrame protects is not known of this runtime")
        return returned_references(self._memory, self._layout, self._locator.methods, frame)

    def _unmanaged_call(self, frame: ExplicitFrame, block: int) -> list[Reference]:
        machine = self._runtime.core.machine
        return unmanaged_call_references(self._memory, self._layout, self._locator.methods, machine, frame.frame_address, block)

    def _arguments(self, method_desc: int, block: int) -> list[Reference]:
        """As of TransitionFrame::PromoteCallerStack: nothing where no method is called yet."""
        if not method_desc:
            return []
        machine = self._runtime.core.machine
        return caller_references(self._memory, self._layout, self._locator.methods, machine, method_desc, block)

    def _helper_arguments(self, frame: ExplicitFrame, block: int) -> list[Reference]:
        """The first one or two arguments of a ready-to-run helper, where its flags say that they are objects."""
        flags = self._memory.u32(frame.frame_address + self._layout.offset("DynamicHelperFrame", "DynamicHelperFrameFlags"))
        first = block + self._layout.offset("TransitionBlock", "ArgumentRegisters")
        slots = [first + _WORD * index for index in range(2) if flags & 1 << index]
        return list(_references(self._runtime, slots, interior=False))

    def _by_map(self, frame: ExplicitFrame, block: int) -> list[Reference]:
        """By the map of the import cell that ready-to-run code called through; other calls have a method and its signature."""
        memory, layout, kind = self._memory, self._layout, frame.frame_type
        address = memory.pointer(frame.frame_address + layout.offset(kind, "GCRefMap"))
        cell = memory.pointer(frame.frame_address + layout.offset(kind, "Indirection"))
        found = address or (self._find_map(cell) if cell else None)
        if not found:
            return self._without_map(frame, block)
        # On arm64 the register of a result's buffer is the first of a map (GetOffsetOfFirstGCRefMapSlot, callingconvention.h).
        slot = "FirstGCRefMapSlot" if layout.has("TransitionBlock", "FirstGCRefMapSlot") else "ArgumentRegisters"
        first = block + layout.offset("TransitionBlock", slot)
        references: list[Reference] = []
        for position, token in decode_map(self._locator.tables, found):
            if token == VARIABLE_ARGUMENTS:
                raise Malformed(f"a {kind} protects variable arguments")
            if token in (REFERENCE, INTERIOR):
                references.extend(_references(self._runtime, [first + _WORD * position], interior=token == INTERIOR))
        return references

    def _without_map(self, frame: ExplicitFrame, block: int) -> list[Reference]:
        if frame.frame_type != "StubDispatchFrame":
            raise Malformed(f"the call of the {frame.frame_type} has no GC reference map")
        if frame.problem is not None:
            raise Malformed(frame.problem)
        return self._arguments(frame.method_desc or 0, block)

    def _find_map(self, cell: int) -> int | None:
        section = self._locator.section_at(cell)
        image = None if section is None or section.kind != "ready-to-run" else self._locator.image(section)
        if isinstance(image, str):
            raise Malformed(f"the GC reference map of the cell at {cell:#x} cannot be had: {image}")
        return None if image is None else find_map(self._locator.tables, image, cell)


def gc_frame_references(runtime: Runtime, thread: Thread) -> list[tuple[int, Reference]]:
    """(GCFrame, reference) of all references that native code of the runtime protects on a thread (GCPROTECT_BEGIN).

    Raises Unreadable, Malformed when the chain makes no sense.
    """
    memory, layout = runtime.memory, runtime.layout
    found: list[tuple[int, Reference]] = []
    for frame in gc_frames(runtime, thread):
        owner = memory.pointer(frame + layout.offset("GCFrame", "Thread"))
        if owner != thread.address:
            raise Malformed(f"the GCFrame at {frame:#x} belongs to thread {owner:#x}, not to {thread.address:#x}")
        slots = memory.pointer(frame + layout.offset("GCFrame", "ObjRefs"))
        count = memory.u32(frame + layout.offset("GCFrame", "NumObjRefs"))
        interior = memory.u32(frame + layout.offset("GCFrame", "MaybeInterior")) != 0
        found.extend((frame, reference) for reference in _array(runtime, slots, count, interior))
    return found


def gc_frames(runtime: Runtime, thread: Thread) -> Iterator[int]:
    """Addresses of a thread's GCFrames, innermost first. They have a chain of their own; to 3.1 they are Frames (frames.h)."""
    memory, layout = runtime.memory, runtime.layout
    if layout.has("Thread", "GCFrame"):
        yield from _chain(runtime, memory.pointer(thread.address + layout.offset("Thread", "GCFrame")), layout.offset("GCFrame", "Next"))
        return
    vtable = layout.global_address("GCFrameVTable")
    first = memory.pointer(thread.address + layout.offset("Thread", "Frame"))
    yield from (frame for frame in _chain(runtime, first, layout.offset("Frame", "Next")) if memory.pointer(frame) == vtable)


def _chain(runtime: Runtime, frame: int, next_offset: int) -> Iterator[int]:
    """Most lie further out than the last, but for those that native code made in memory it took off the stack later on."""
    lower: set[int] = set()
    for _ in range(LIMITS.gc_frames):
        if frame in NO_FRAME:
            return
        yield frame
        following = runtime.memory.pointer(frame + next_offset)
        if following not in NO_FRAME and following <= frame:
            if following in lower:
                raise Malformed(f"the chain of GCFrames does not move up at {frame:#x}: the next is {following:#x}")
            lower.add(following)
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
