"""The native frames of a thread, from any registers on outwards, up to code that somebody else knows how to undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from heaphound.dump.call_frames import NativeCaller, NativeUnwinder
from heaphound.dump.elf_modules import ElfModule
from heaphound.dump.guessed_caller import CallerGuess
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.errors import Malformed, Unreadable
from heaphound.limits import LIMITS


@dataclass(frozen=True, slots=True)
class NativeFrame:
    """One frame of native code. `module` is None for code in no image (stubs that the runtime wrote, say).

    `active`: `ip` is the next instruction (innermost frame, or one that a signal interrupted); else it is a return address. `exact`: its
    place is known for certain; False where the frame below was undone by a guess. `problem` says why the frames end here.
    """

    ip: int
    sp: int
    module: ElfModule | None
    active: bool
    exact: bool = True
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class NativeRun:
    """Consecutive native frames, innermost first. `arrived` are the registers in the other code that they lead to, None where they end.

    `outermost`: they end where the thread begins. `reason`: why they end before; None otherwise. `switched` is how many of the frames, from
    the innermost on, belong to a handler that a signal ran, maybe on a stack of its own: their stack pointers say nothing about the others.
    `active`: where it arrived is the next instruction, because a signal interrupted it there; else it is a return address.
    """

    frames: list[NativeFrame]
    arrived: dict[str, int] | None
    outermost: bool
    reason: str | None
    switched: int = 0
    active: bool = False


class NativeFrames:
    """Walks native frames of one core."""

    def __init__(self, unwinder: NativeUnwinder, guess: CallerGuess, machine: str) -> None:
        self._unwinder = unwinder
        self._guess = guess
        self._ip, self._sp, _ = IP_SP_FP[machine]
        self._machine = machine

    def run(
        self, values: Mapping[str, int], active: bool, known: Callable[[int], bool], limit: int = LIMITS.native_run_frames
    ) -> NativeRun:
        """The frames from `values` (registers by name) on, to the first whose instruction pointer is `known`. Raises nothing of the dump's.

        Where no information covers a frame, its caller is guessed, and frames from there on are not `exact`. At most `limit` (one or more).
        """
        frames: list[NativeFrame] = []
        current, exact, switched, signals, reason = dict(values), True, 0, 0, None
        for _ in range(limit):
            if known(current[self._ip]):
                return NativeRun(frames, current, False, None, switched, active)
            if not current[self._ip]:
                return NativeRun(frames, None, True, None, switched)
            module = self._unwinder.module_at(current[self._ip] - (not active))
            frames.append(NativeFrame(current[self._ip], current[self._sp], module, active, exact))
            try:
                caller = self._checked(current, active, self._unwinder.caller(current, active))
            except (Unreadable, Malformed) as error:
                reason = str(error)
                caller = self._guess.caller(current, active, known)
                if caller is None:
                    break
                exact = False
            if caller is None:
                return NativeRun(frames, None, True, None, switched)
            if caller.interrupted:
                switched, signals = len(frames), signals + 1
            if signals > LIMITS.nested_signals:
                reason = f"more than {LIMITS.nested_signals} signal handlers interrupt each other"
                break
            current, active = caller.values, caller.interrupted
        else:
            reason = f"the thread has more than {LIMITS.native_run_frames} native frames"
        frames[-1] = replace(frames[-1], problem=f"the native frames cannot be followed further: {reason}")
        return NativeRun(frames, None, False, reason, switched)

    def _checked(self, values: Mapping[str, int], active: bool, caller: NativeCaller | None) -> NativeCaller | None:
        """The same caller, if it is one that can be: its stack pointer is further out, unless a signal switched stacks."""
        if caller is None or caller.interrupted:
            return caller
        before, after = values[self._sp], caller.values.get(self._sp, 0)
        # A function of arm64 that has just begun, or needs no stack, has its return address in a register.
        if after > before or (active and after == before and self._machine == "arm64"):
            return caller
        raise Malformed(f"the stack pointer moves from {before:#x} to {after:#x}, not up")
