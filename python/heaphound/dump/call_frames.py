"""Undoes one frame of native code: by its image's .eh_frame, which the kernel interprets, or as the frame that a signal made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from heaphound._core import CallFrames
from heaphound.dump.core import Core
from heaphound.dump.elf_modules import ElfModule, elf_modules
from heaphound.dump.native_registers import IP_SP_FP, named, numbered
from heaphound.dump.signal_frames import interrupted_registers
from heaphound.errors import Malformed, Unreadable

PT_GNU_EH_FRAME = 0x6474E550
_AT_ENTRY = 9  # include/uapi/linux/auxvec.h: where the program begins
_ENTRY_BYTES = 128  # it loads some registers and calls: 34 bytes on x64, up to 80 on arm64


@dataclass(frozen=True, slots=True)
class NativeCaller:
    """The caller's registers by name, those that are known; its instruction and stack pointer are among them.

    `saved_at` is the stack address that each restored one was read from. `interrupted`: a signal was delivered there, so that the
    instruction pointer is that of the next instruction and all registers are known.
    """

    values: dict[str, int]
    saved_at: dict[str, int]
    interrupted: bool = False


class NativeUnwinder:
    """Undoes native frames of one core. Images are listed at the first question; the rules at each place are kept."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._machine = core.machine
        self._ip = IP_SP_FP[core.machine][0]
        self._frames: CallFrames | None = None
        self._modules: list[ElfModule] | None = None
        self._starts: list[int] = []
        self._tables: dict[int, int | None] = {}

    def caller(self, values: Mapping[str, int], active: bool) -> NativeCaller | None:
        """The caller of the function that `values` (registers by name) stand in; None where the thread began there.

        `active`: the instruction pointer is that of the next instruction to run; else it is a return address, and the call before it is
        looked up. Raises Unreadable, or Malformed, also where no image, or no information of one, covers the address.
        """
        ip = values[self._ip]
        found = None if self._machine == "x64" else self._interrupted(values)
        if found is not None:
            return found
        if self._frames is None:
            self._frames = CallFrames(self._core.image)
        place = ip if active else ip - 1
        try:
            registers, saved_at, outermost, signal = self._frames.caller(self._table(place), place, numbered(self._machine, values))
        except (Unreadable, Malformed):
            found = self._interrupted(values)
            if found is None and self._begins_program(ip):
                return None
            if found is None:
                raise
            return found
        if outermost:
            return None
        return NativeCaller(named(self._machine, registers), named_places(self._machine, saved_at), signal)

    def module_at(self, address: int) -> ElfModule | None:
        """The image that an address lies in."""
        if self._modules is None:
            self._modules = elf_modules(self._core)
            self._starts = [module.base for module in self._modules]
        index = bisect_right(self._starts, address) - 1
        return self._modules[index] if index >= 0 and address < self._modules[index].end else None

    def _begins_program(self, address: int) -> bool:
        """Whether an address lies in the program's first function (_start), which not every C library describes."""
        entry = self._core.auxv.get(_AT_ENTRY)
        return entry is not None and entry <= address < entry + _ENTRY_BYTES

    def _interrupted(self, values: Mapping[str, int]) -> NativeCaller | None:
        found = interrupted_registers(self._core.memory, self._machine, values)
        return None if found is None else NativeCaller(*found, interrupted=True)

    def _table(self, address: int) -> int:
        """Address of the .eh_frame_hdr of the image that an address lies in."""
        module = self.module_at(address)
        if module is None:
            raise Malformed(f"native code at {address:#x} belongs to no image that the process had loaded")
        if module.base not in self._tables:
            header = None if module.headers is None else module.headers.first(PT_GNU_EH_FRAME)
            self._tables[module.base] = None if header is None else module.bias + header.address
        table = self._tables[module.base]
        if table is None:
            lacks = "the first page is not in the dump" if module.headers is None else "no table of call frames (.eh_frame_hdr)"
            raise Malformed(f"{module.name} cannot be unwound: {lacks}")
        return table


def named_places(machine: str, places: list[tuple[int, int]]) -> dict[str, int]:
    """Stack addresses by the name of the register that was saved there."""
    values: list[int | None] = [None] * len(numbered(machine, {}))
    for number, address in places:
        values[number] = address
    return named(machine, values)
