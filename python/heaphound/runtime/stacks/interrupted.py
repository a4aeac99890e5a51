"""Managed code in which a signal interrupted a thread, whose handler ran when the process was dumped.

Where the handler tells the runtime, it makes a Frame (FaultingExceptionFrame, RedirectedThreadFrame). Until then, and where it ends the
process at once (a stack overflow up to 3.1: sigsegv_handler of src/coreclr/pal/src/exception/signal.cpp), no Frame leads to that code: only
the frame that the kernel made for the signal, often on another stack, to which the handler's native frames lead.
"""

from collections.abc import Mapping

from heaphound.dump.call_frames import NativeUnwinder
from heaphound.dump.core import Core
from heaphound.dump.guessed_caller import CallerGuess
from heaphound.dump.native_frames import NativeFrames, NativeRun
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.runtime.stacks.frame_code import FrameCodes
from heaphound.runtime.threads import Thread


class InterruptedCode:
    """Follows handlers of signals to managed code, in one core; each thread once."""

    def __init__(self, core: Core, native: NativeUnwinder, codes: FrameCodes) -> None:
        self._codes = codes
        self._native = NativeFrames(native, CallerGuess(core, native), core.machine)
        self._ip, self._sp, _ = IP_SP_FP[core.machine]
        self._known: dict[int, NativeRun | None] = {}

    def of(self, thread: Thread, registers: Mapping[str, int]) -> NativeRun | None:
        """The native frames of a thread from its `registers` on, if they are those of a signal's handler and lead to managed code which no
        Frame of the runtime leads to; else None. Raises nothing of the dump's.

        Only of a thread in cooperative mode: another one has left managed code by a Frame.
        """
        if not thread.cooperative:
            return None
        if thread.address not in self._known:
            self._known[thread.address] = self._follow(thread, registers)
        return self._known[thread.address]

    def _follow(self, thread: Thread, registers: Mapping[str, int]) -> NativeRun | None:
        run = self._native.run(registers, True, self._codes.ends_native_frames)
        if run.arrived is None or not run.switched or not all(frame.exact for frame in run.frames):
            return None
        handler = [frame.sp for frame in run.frames[: run.switched]]
        made_by_handler = thread.frame is not None and min(handler) <= thread.frame <= max(handler)
        leads = made_by_handler or (thread.frame is not None and thread.frame < run.arrived[self._sp])
        return None if leads else run
