"""Stacks with native frames: those of the managed walk, and between them the frames of the code that the runtime crosses by its Frames.

Native frames are undone on their own from the registers where a thread left managed code. They must lead to the managed frame that the
runtime's Frame names; where they lead elsewhere the Frame is right, and the last native frame says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.guessed_caller import CallerGuess
from heaphound.dump.native_frames import NativeFrame, NativeFrames, NativeRun
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.threads import Thread

MixedFrame = Frame | NativeFrame


class MixedWalker:
    """Walks managed and native frames of one dump's threads."""

    def __init__(self, walker: StackWalker) -> None:
        core = walker.runtime.core
        unwinder = NativeUnwinder(core)
        self._walker = walker
        self._native = NativeFrames(unwinder, CallerGuess(core, unwinder), core.machine)
        self._registers = {thread.os_id: thread.registers for thread in core.threads}
        self._ip, self._sp, _ = IP_SP_FP[core.machine]

    def walk(self, thread: Thread) -> Iterator[MixedFrame | StackEnd]:
        """A managed thread's frames, innermost first, and a StackEnd where the rest cannot be walked. Raises nothing of the dump's."""
        registers = None if thread.os_id is None else self._registers.get(thread.os_id)
        if registers is None:
            yield from self._walker.walk(thread)
            return
        run = self._run(registers, active=True)
        between: list[ExplicitFrame] = []
        for item in self._walker.walk(thread):
            if isinstance(item, ExplicitFrame):
                between.append(item)
                continue
            yield from _merged(self._held_against(run, item), between)
            yield item
            run, between = _NO_RUN, []
            if isinstance(item, ManagedFrame) and item.caller is not None and not self._is_managed(item.caller.ip):
                run = self._run(item.caller.values, active=False)
        yield from _merged(self._held_against(run, None), between)

    def walk_native(self, os_id: int) -> Iterator[NativeFrame | StackEnd]:
        """The frames of a thread that the runtime does not know, or that runs no managed code."""
        registers = self._registers.get(os_id)
        if registers is None:
            yield StackEnd(0, f"the dump has no registers of thread {os_id}")
            return
        yield from self._held_against(self._run(registers, active=True), None).frames

    def _run(self, values: Mapping[str, int], active: bool) -> NativeRun:
        return self._native.run(values, active, self._is_managed)

    def _is_managed(self, address: int) -> bool:
        codes = self._walker.codes
        try:
            return codes.is_managed(address)
        except (Unreadable, Malformed, LayoutError):
            # A dump without images lacks the tables of ready-to-run code: native it is not, and no call frame information undoes it.
            try:
                return codes.is_in_managed_range(address)
            except (Unreadable, Malformed, LayoutError):
                return False

    def _held_against(self, run: NativeRun, following: ManagedFrame | StackEnd | None) -> NativeRun:
        """The same run; its last frame has a problem where it does not lead to the managed frame that follows."""
        if not run.frames or isinstance(following, StackEnd) or run.reason is not None:
            return run
        if following is None:
            if run.arrived is None:
                return run
            problem = f"it leads to managed code at {run.arrived[self._ip]:#x}, to which no Frame of the runtime leads"
        elif run.arrived is None:
            problem = "the thread begins here by its native frames; the Frame of the runtime leads to the managed frame that follows"
        elif not self._is_there(run.arrived, following):
            place = f"{run.arrived[self._ip]:#x} (stack pointer {run.arrived[self._sp]:#x})"
            problem = f"it leads to managed code at {place}; the Frame of the runtime leads to the frame that follows"
        else:
            return run
        return replace(run, frames=[*run.frames[:-1], replace(run.frames[-1], problem=problem)])

    def _is_there(self, arrived: Mapping[str, int], frame: ManagedFrame) -> bool:
        """Whether registers stand in a managed frame: at the same stack pointer, in the same piece of code.

        An InlinedCallFrame may name an earlier instruction of it than the call that is running: ready-to-run code calls JIT_PInvokeBegin
        first, which records where itself returns to (src/coreclr/vm/amd64/pinvokestubs.S), and a thread that a collection holds up on its
        way back is in a call of its own behind the native one (JIT_RareDisableHelper).
        """
        if arrived[self._sp] != frame.sp:
            return False
        return arrived[self._ip] == frame.ip or frame.ip < arrived[self._ip] <= frame.code.fragment_end


_NO_RUN = NativeRun([], None, False, None)


def _merged(run: NativeRun, explicit: list[ExplicitFrame]) -> Iterator[NativeFrame | ExplicitFrame]:
    """Both in the order of the stack: a Frame lies in the stack of the function that made it, so that it comes behind that."""
    index = 0
    for frame in explicit:
        while index < len(run.frames) and (index < run.switched or run.frames[index].sp <= frame.sp):
            yield run.frames[index]
            index += 1
        yield frame
    yield from run.frames[index:]
