"""A thread's registers as NT_PRSTATUS holds them, by name, for both machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from heaphound.dump.cursor import Cursor

Machine = Literal["x64", "arm64"]

# Order of `struct user_regs_struct` (arch/x86/include/asm/user_64.h) and `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h).
# fmt: off
X64_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax",
    "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)
# fmt: on
ARM64_REGISTERS = (*(f"x{number}" for number in range(29)), "fp", "lr", "sp", "pc", "pstate")
REGISTERS: dict[str, tuple[str, ...]] = {"x64": X64_REGISTERS, "arm64": ARM64_REGISTERS}
_SPECIAL = {"x64": ("rip", "rsp", "rbp"), "arm64": ("pc", "sp", "fp")}

# `struct elf_prstatus` of 64-bit Linux (include/linux/elfcore.h): siginfo 12, cursig 2, pad 2, two signal sets 16, then the
# four ids from 32 on, four timevals 64, and the registers at 112.
_CURRENT_SIGNAL_OFFSET = 12
_OS_ID_OFFSET = 32
_REGISTERS_OFFSET = 112


@dataclass(frozen=True, slots=True)
class ThreadRegisters:
    """One operating-system thread at the moment of the dump.

    `registers` has the names of the machine (`rip`, `rsp`, `rbp`, ... or `pc`, `sp`, `fp`, `x0`, ...); `signal` is the
    number of the signal that stopped the thread, 0 for none.
    """

    os_id: int
    machine: str
    signal: int
    registers: dict[str, int] = field(repr=False)

    @property
    def instruction_pointer(self) -> int:
        """`rip` or `pc`."""
        return self.registers[_SPECIAL[self.machine][0]]

    @property
    def stack_pointer(self) -> int:
        """`rsp` or `sp`."""
        return self.registers[_SPECIAL[self.machine][1]]

    @property
    def frame_pointer(self) -> int:
        """`rbp` or `fp` (x29)."""
        return self.registers[_SPECIAL[self.machine][2]]


def parse_prstatus(data: bytes, machine: str, base: int) -> ThreadRegisters:
    """The thread of one NT_PRSTATUS note whose data starts at file offset `base`. Raises `Malformed` when it is too short."""
    cursor = Cursor(data, what="NT_PRSTATUS", base=base, position=_CURRENT_SIGNAL_OFFSET)
    signal = cursor.u16()
    cursor.position = _OS_ID_OFFSET
    os_id = cursor.u32()
    cursor.position = _REGISTERS_OFFSET
    registers = {name: cursor.u64() for name in REGISTERS[machine]}
    return ThreadRegisters(os_id, machine, signal, registers)
