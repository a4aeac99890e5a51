"""Guesses at the caller of native code that no call frame information covers: stubs that a runtime wrote, hand-written assembly.

A guess counts only where it leads behind an instruction that calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import unpack

from heaphound.dump.call_frames import NativeCaller, NativeUnwinder
from heaphound.dump.core import Core
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.errors import Unreadable

_KEPT = {"x64": ("rbx", "rbp", "r12", "r13", "r14", "r15"), "arm64": (*(f"x{number}" for number in range(19, 29)), "fp")}
_LONGEST_CALL = 7  # x64: call through memory with prefix, scaled index and displacement of 4 bytes


class CallerGuess:
    """Guesses callers in one core."""

    def __init__(self, core: Core, unwinder: NativeUnwinder) -> None:
        self._memory = core.memory
        self._machine = core.machine
        self._unwinder = unwinder

    def caller(self, values: Mapping[str, int], active: bool, known: Callable[[int], bool]) -> NativeCaller | None:
        """The likely caller of the code that `values` stand in; None where nothing is likely.

        Code that was just entered has its return address on top of the stack (x64) or in its register (arm64); else the frame pointer
        leads to the caller's frame, as functions are compiled that keep one. `known`: addresses of code that is in no image.
        """
        try:
            return (self._entered(values, known) if active else None) or self._by_frame_pointer(values, known)
        except Unreadable:
            return None

    def _entered(self, values: Mapping[str, int], known: Callable[[int], bool]) -> NativeCaller | None:
        sp = values[IP_SP_FP[self._machine][1]]
        target = self._memory.pointer(sp) if self._machine == "x64" else values.get("lr", 0)
        if not self._follows_call(target, known):
            return None
        return self._caller(values, target, sp + 8 if self._machine == "x64" else sp, {})

    def _by_frame_pointer(self, values: Mapping[str, int], known: Callable[[int], bool]) -> NativeCaller | None:
        _, sp_name, fp_name = IP_SP_FP[self._machine]
        frame = values.get(fp_name, 0)
        if frame < values[sp_name] or frame % 8:
            return None
        outer, target = self._memory.words(frame, 2)
        if not self._follows_call(target, known):
            return None
        return self._caller(values, target, frame + 16, {fp_name: frame}, {fp_name: outer})

    def _caller(
        self, values: Mapping[str, int], ip: int, sp: int, saved_at: dict[str, int], restored: Mapping[str, int] | None = None
    ) -> NativeCaller:
        ip_name, sp_name, _ = IP_SP_FP[self._machine]
        kept = {name: values[name] for name in _KEPT[self._machine] if name in values}
        return NativeCaller({**kept, **(restored or {}), ip_name: ip, sp_name: sp}, saved_at)

    def _follows_call(self, address: int, known: Callable[[int], bool]) -> bool:
        """Whether an address lies in code, right behind an instruction that calls."""
        if address < 4096 or not (known(address) or self._unwinder.module_at(address) is not None):
            return False
        try:
            if self._machine == "arm64":
                (word,) = unpack("<I", self._memory.bytes(address - 4, 4))
                return bool(word & 0xFC000000 == 0x94000000 or word & 0xFEFFF000 == 0xD63F0000)  # bl; blr, also with authentication
            before = self._memory.bytes(address - _LONGEST_CALL, _LONGEST_CALL)
        except Unreadable:
            return False
        if before[-5] == 0xE8:  # call rel32
            return True
        # call through a register or memory: FF /2 with its operand of 1 to 6 bytes
        return any(before[-size] == 0xFF and before[-size + 1] >> 3 & 7 == 2 for size in (2, 3, 4, 6, 7))
