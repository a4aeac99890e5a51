"""The object that a thread waits for, where its frames hold it: the lock, event, task, thread or wait handle.

Whoever waits in a method of the core library holds the object there, as `this`, as an argument or in a register that a callee saved; the
collector's own information of the frames tells these exactly. One object of the right class is the answer, two are none. Optimised code may
have only a part of it left, such as the SafeWaitHandle of an event; the event is then the object near the top of the stack that has it.
"""

from collections.abc import Iterator, Sequence

from heaphound.dump.registers import ThreadRegisters
from heaphound.errors import Unreadable
from heaphound.runtime.code import CodeLocator
from heaphound.runtime.frame_roots import FrameReferences
from heaphound.runtime.gc_info.frame_slots import frame_references
from heaphound.runtime.lock_holders import UNTOLD
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame
from heaphound.runtime.stacks.waits import WAITING_FRAMES, Wait
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.values import OBJECT_HEADER_BYTES

# Classes of System.Private.CoreLib and other assemblies of the framework, 3.1 to 10.0, whose objects, or those of derived ones, a thread
# waits for. Arguments of generic types are left out.
_CLASSES: dict[str, tuple[str, ...]] = {
    "lock enter": ("System.Threading.Lock",),
    "thread join": ("System.Threading.Thread",),
    "event": ("System.Threading.ManualResetEventSlim",),
    "semaphore": ("System.Threading.SemaphoreSlim",),
    "countdown": ("System.Threading.CountdownEvent",),
    "barrier": ("System.Threading.Barrier",),
    "reader-writer lock": ("System.Threading.ReaderWriterLockSlim", "System.Threading.ReaderWriterLock"),
    "task": ("System.Threading.Tasks.Task",),
    "blocking collection": ("System.Collections.Concurrent.BlockingCollection",),
    "wait handle": ("System.Threading.WaitHandle",),
    "process": ("System.Diagnostics.Process",),
}
# Methods that wait for one or all of several objects, or for one of two: what a frame still holds is any of them.
_SEVERAL = frozenset(
    {
        *("WaitAll", "WaitAny", "WaitMultiple", "WaitMultipleIgnoringSyncContext", "WaitAnyMultiple", "SignalAndWait"),
        *("WaitAllCore", "WaitAnyCore", "WaitAllBlockingCore", "TakeFromAny", "TryTakeFromAny", "AddToAny", "TryAddToAny"),
    }
)
# By the kind of wait: the class of a part that the waiting frames hold, and the fields in which the object has it.
_PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wait handle": ("Microsoft.Win32.SafeHandles.SafeWaitHandle", ("_waitHandle",)),
    "countdown": ("System.Threading.ManualResetEventSlim", ("_event",)),
    "barrier": ("System.Threading.ManualResetEventSlim", ("_oddEvent", "_evenEvent")),
}
_MARGIN, _MAXIMUM_BYTES, _WORD = 512, 1 << 16, 8


class WaitedObjects:
    """Tells what threads of one dump wait for."""

    def __init__(self, runtime: Runtime, code: CodeLocator, stacks: StackWalker) -> None:
        self._memory = runtime.memory
        self._mask = ~runtime.layout.constant("ObjectToMethodTableUnmask")
        self._types = code.methods.types
        self._explicit = FrameReferences(runtime, code)
        self._stacks = stacks
        self._are: dict[tuple[int, tuple[str, ...]], bool] = {}

    def of(self, wait: Wait, frames: Sequence[Frame], registers: ThreadRegisters | None) -> int | None:
        """Address of the object that `wait`, found in `frames` (innermost first), is for; None where none or more than one is there.

        `registers` are the thread's own. A wait handle that no frame has any more is found by its SafeWaitHandle, which is the answer too
        where it is not found.
        """
        if wait.kind not in _CLASSES or wait.end_sp is None:
            return None
        waiting = [frame for frame in frames[:WAITING_FRAMES] if frame.sp < wait.end_sp]
        if wait.kind != "barrier" and any(frame.method is not None and frame.method.name in _SEVERAL for frame in waiting):
            return None
        found = self._in(waiting[-1:], _CLASSES[wait.kind]) or self._in(waiting, _CLASSES[wait.kind])
        if not found and wait.kind in _PARTS and registers is not None:
            of_class, fields = _PARTS[wait.kind]
            parts = self._in(waiting, (of_class,))
            words = self._words(registers, wait.end_sp)
            found = {word for word in words if parts and self._is(word, _CLASSES[wait.kind]) and self._has(word, fields, parts)} or parts
        return found.pop() if len(found) == 1 else None

    def _in(self, frames: Sequence[Frame], classes: tuple[str, ...]) -> set[int]:
        """Objects of the classes that the frames hold."""
        return {address for frame in frames for address in self._held(frame) if self._is(address, classes)}

    def _words(self, registers: ThreadRegisters, end_sp: int) -> set[int]:
        """What lies on the stack from its top to a little behind the waiting methods, stale words too."""
        size = min(max(end_sp + _MARGIN - registers.stack_pointer, 0), _MAXIMUM_BYTES) // _WORD
        try:
            words = set(self._memory.words(registers.stack_pointer & -_WORD, size))
        except Unreadable:
            return set()
        return {word for word in words if word > _WORD and not word % _WORD}

    def _has(self, address: int, fields: tuple[str, ...], parts: set[int]) -> bool:
        """Whether one of the fields of an object holds one of the parts."""
        try:
            found = self._types.type(self._memory.pointer(address) & self._mask)
            offsets = [field.offset for field in found.fields if field.name in fields and field.offset is not None]
            return any(self._memory.pointer(address + OBJECT_HEADER_BYTES + offset) in parts for offset in offsets)
        except UNTOLD:
            return False

    def _held(self, frame: Frame) -> Iterator[int]:
        """Objects that a frame refers to: arguments that are objects first, as of a method that needs them no more."""
        try:
            if isinstance(frame, ExplicitFrame):
                yield from (item.value for item in self._explicit.of(frame) if not item.interior)
                return
            info = self._stacks.gc_infos.at(frame.code.gc_info)
            yield from (item.value for item in frame_references(self._memory, info, frame, frame.filter_funclet) if not item.interior)
        except UNTOLD:
            return

    def _is(self, address: int, classes: tuple[str, ...]) -> bool:
        """Whether the object is of one of the classes, or of one derived from it."""
        try:
            method_table = self._memory.pointer(address) & self._mask
            key = (method_table, classes)
            if key not in self._are:
                found = self._types.type(method_table)
                names = {item.name.split("<", 1)[0] for item in (found, *found.bases())}
                self._are[key] = not names.isdisjoint(classes)
            return self._are[key]
        except UNTOLD:
            return False
