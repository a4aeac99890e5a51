"""Managed code on a stack to which native frames lead, and no Frame of the runtime.

The runtime makes a Frame where managed code calls native code, and none for what is not managed code's own doing: code that native code is
just entering (a reverse P/Invoke stub that a collection holds up), that a signal has just interrupted, or that calls without telling the
collector (SuppressGCTransition). The runtime's walk passes such code; its frames are undone here from the registers at which native frames
arrive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from heaphound.dump.native_frames import NativeFrame, NativeRun
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.limits import LIMITS
from heaphound.runtime.stacks.frame import ExplicitFrame, Frame, ManagedFrame
from heaphound.runtime.stacks.registers import RegisterContext
from heaphound.runtime.stacks.walk import StackWalker

MixedFrame = Frame | NativeFrame


class FurtherFrames:
    """Follows a stack from where a run of native frames arrives to where the runtime's walk goes on."""

    def __init__(self, walker: StackWalker, run: Callable[[Mapping[str, int], bool], NativeRun]) -> None:
        self._walker = walker
        self._machine = walker.runtime.core.machine
        self._run = run
        self._ip, self._sp, _ = IP_SP_FP[self._machine]

    def frames(self, run: NativeRun, following: ManagedFrame | None) -> Sequence[MixedFrame] | None:
        """The frames of the run and all further ones before `following`, or to the thread's beginning where nothing follows.

        None where they do not lead there. A frame that was guessed leads nowhere else than to `following` itself.
        """
        found: list[MixedFrame] = list(run.frames)
        signals = 0
        while run.arrived is not None and signals <= LIMITS.nested_signals:
            if following is not None and self._is_there(run.arrived, following):
                return found
            managed = list(self._walker.follow(RegisterContext(self._machine, run.arrived), run.active))
            for index, frame in enumerate(managed):
                if following is not None and _same(frame, following):
                    return [*found, *managed[:index]] if index == 0 or _is_exact(run) else None
            if not managed or not _is_exact(run):
                return None
            last = managed[-1].caller
            if last is None or (following is not None and last.sp > following.sp):
                return None
            found += managed
            run = self._run(last.values, False)
            if run.arrived is not None and not run.frames:
                return None  # what follows is managed code that could not be undone
            found += run.frames
            signals += run.switched > 0  # only behind a signal the stack pointer may be anywhere, and lead here again
        return found if following is None and run.arrived is None else None

    def _is_there(self, arrived: Mapping[str, int], frame: ManagedFrame) -> bool:
        """Whether registers stand in a managed frame: at the same stack pointer, in the same piece of code.

        An InlinedCallFrame may name an earlier instruction of it than the call that is running: ready-to-run code calls JIT_PInvokeBegin
        first, which records where itself returns to (src/coreclr/vm/amd64/pinvokestubs.S), and a thread that a collection holds up on its
        way back is in a call of its own behind the native one (JIT_RareDisableHelper).
        """
        if arrived[self._sp] != frame.sp:
            return False
        return arrived[self._ip] == frame.ip or frame.ip < arrived[self._ip] <= frame.code.fragment_end


def up_to_diverted_return(run: NativeRun, between: Sequence[ExplicitFrame], sp: str) -> NativeRun:
    """The run to the code to which a diverted return goes back, where it has met such a return (HijackFrame).

    OnHijackTripThread (src/coreclr/vm/amd64/asmhelpers.S) leaves room for the return address and writes it on its way out, so that no call
    frame information tells where it goes. `sp` names the stack pointer.
    """
    diverted = next((frame.resume for frame in between if frame.frame_type == "HijackFrame" and frame.resume is not None), None)
    if diverted is None:
        return run
    cut = next((index for index, frame in enumerate(run.frames) if index >= run.switched and frame.sp >= diverted.sp), None)
    if cut is None and (run.arrived is None or run.arrived[sp] < diverted.sp):
        return run
    frames = run.frames if cut is None else run.frames[:cut]
    return replace(run, frames=frames, arrived=dict(diverted.values), outermost=False, reason=None, active=False)


def _is_exact(run: NativeRun) -> bool:
    return all(frame.exact for frame in run.frames)


def _same(frame: ManagedFrame, following: ManagedFrame) -> bool:
    """Whether two are one frame: in the same piece of code, and of the same caller.

    Their stack pointers may differ: a Frame has that of the prologue, from before memory was taken off the stack (`stackalloc`, and stubs
    that convert strings).
    """
    if frame.code.fragment_start != following.code.fragment_start or frame.caller is None or following.caller is None:
        return False
    return frame.caller.sp == following.caller.sp
