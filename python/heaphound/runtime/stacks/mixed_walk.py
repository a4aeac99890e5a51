"""Stacks with native frames: those of the managed walk, and between them the frames of the code that the runtime crosses by its Frames.

Native frames are undone on their own from the registers where a thread left managed code. They must lead to the managed frame that the
runtime's Frame names. Managed code that they meet before is shown too: the runtime has no Frame for what is just being entered, or was
interrupted. Where they lead elsewhere the Frame is right, and the last native frame says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.guessed_caller import CallerGuess
from heaphound.dump.native_frames import NativeFrame, NativeFrames, NativeRun
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.limits import LIMITS
from heaphound.runtime.stacks.frame import ExplicitFrame, ManagedFrame, StackEnd
from heaphound.runtime.stacks.further_frames import FurtherFrames, MixedFrame, up_to_diverted_return
from heaphound.runtime.stacks.walk import StackWalker
from heaphound.runtime.threads import Thread


class MixedWalker:
    """Walks managed and native frames of one dump's threads."""

    def __init__(self, walker: StackWalker) -> None:
        core = walker.runtime.core
        unwinder = NativeUnwinder(core)
        self._walker = walker
        self._native = NativeFrames(unwinder, CallerGuess(core, unwinder), core.machine)
        self._registers = {thread.os_id: thread.registers for thread in core.threads}
        self._ip, self._sp, _ = IP_SP_FP[core.machine]
        self._further = FurtherFrames(walker, self._run)
        self._left = LIMITS.native_run_frames

    def walk(self, thread: Thread) -> Iterator[MixedFrame | StackEnd]:
        """A managed thread's frames, innermost first, and a StackEnd where the rest cannot be walked. Raises nothing of the dump's."""
        registers = None if thread.os_id is None else self._registers.get(thread.os_id)
        if registers is None:
            yield from self._walker.walk(thread)
            return
        self._left = LIMITS.native_run_frames
        run = self._run(registers, active=True)
        between: list[ExplicitFrame] = []
        for item in self._walker.walk(thread):
            if isinstance(item, ExplicitFrame):
                between.append(item)
                continue
            yield from self._joined(run, between, item)
            yield item
            run, between = _NO_RUN, []
            if isinstance(item, ManagedFrame) and item.caller is not None and not self._walker.codes.ends_native_frames(item.caller.ip):
                run = self._run(item.caller.values, active=False)
        yield from self._joined(run, between, None)

    def _joined(self, run: NativeRun, between: list[ExplicitFrame], following: ManagedFrame | StackEnd | None) -> Iterator[MixedFrame]:
        """A run of native frames with the runtime's Frames in it, and the managed code that no Frame leads to."""
        run = up_to_diverted_return(run, between, self._sp)
        frames = None if isinstance(following, StackEnd) else self._further.frames(run, following)
        held = self._held_against(run, following).frames if frames is None else frames
        yield from _merged(held, run.switched, between)

    def walk_native(self, os_id: int) -> Iterator[NativeFrame | StackEnd]:
        """The frames of a thread that the runtime does not know, or that runs no managed code."""
        registers = self._registers.get(os_id)
        if registers is None:
            yield StackEnd(0, f"the dump has no registers of thread {os_id}")
            return
        self._left = LIMITS.native_run_frames
        run = self._run(registers, active=True)
        yield from self._held_against(run, None).frames

    def _run(self, values: Mapping[str, int], active: bool) -> NativeRun:
        run = self._native.run(values, active, self._walker.codes.ends_native_frames, max(1, self._left))
        self._left -= len(run.frames)  # of the whole thread: between wild Frames the same native frames could be met again and again
        return run

    def _held_against(self, run: NativeRun, following: ManagedFrame | StackEnd | None) -> NativeRun:
        """The same run; its last frame has a problem where it does not lead to the managed frame that follows."""
        if not run.frames or isinstance(following, StackEnd) or run.reason is not None:
            return run
        if following is None:
            if run.arrived is None:
                return run
            problem = f"it leads to managed code at {run.arrived[self._ip]:#x}, to which no Frame of the runtime leads"
        elif isinstance(following, ManagedFrame) and following.active and run.arrived is not None and run.arrived[self._ip] == following.ip:
            # A fault is handled on another stack than it happened on, below a frame made up to show where (SwitchStackAndExecuteHandler and
            # ExecuteHandlerOnOriginalStack of src/coreclr/pal/src/exception/signal.cpp).
            return run
        elif run.arrived is None:
            problem = "the thread begins here by its native frames; the Frame of the runtime leads to the managed frame that follows"
        else:
            place = f"{run.arrived[self._ip]:#x} (stack pointer {run.arrived[self._sp]:#x})"
            problem = f"it leads to managed code at {place}; the Frame of the runtime leads to the frame that follows"
        return replace(run, frames=[*run.frames[:-1], replace(run.frames[-1], problem=problem)])


_NO_RUN = NativeRun([], None, False, None)


def _merged(frames: Sequence[MixedFrame], switched: int, explicit: list[ExplicitFrame]) -> Iterator[MixedFrame]:
    """Both in the order of the stack: a Frame lies in the stack of the function that made it, so that it comes behind that."""
    index = 0
    for frame in explicit:
        while index < len(frames) and (index < switched or _end(frames[index]) <= frame.sp):
            yield frames[index]
            index += 1
        yield frame
    yield from frames[index:]


def _end(frame: MixedFrame) -> int:
    """A Frame from here on lies behind it: managed code's own Frames come before it, as in the runtime's walk."""
    return frame.caller.sp if isinstance(frame, ManagedFrame) and frame.caller is not None else frame.sp
