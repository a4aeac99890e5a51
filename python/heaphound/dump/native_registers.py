"""Registers of native frames: by name, as a core's notes have them, and by number, as call frame information counts them."""

from collections.abc import Mapping, Sequence

# System V x64 psABI, figure 3.36; DWARF for the Arm 64-bit Architecture, section 4.1 (32 is the program counter of gdb and libunwind).
# fmt: off
DWARF_NUMBERS: dict[str, tuple[str, ...]] = {
    "x64": ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
    "arm64": (*(f"x{number}" for number in range(29)), "fp", "lr", "sp", "pc"),
}
# fmt: on
_MASK = (1 << 64) - 1
IP_SP_FP = {"x64": ("rip", "rsp", "rbp"), "arm64": ("pc", "sp", "fp")}


def numbered(machine: str, values: Mapping[str, int]) -> list[int | None]:
    """Values by DWARF number, None where one is not known; of sums that a wild value made too large, what a register would hold."""
    return [None if (value := values.get(name)) is None else value & _MASK for name in DWARF_NUMBERS[machine]]


def named(machine: str, values: Sequence[int | None]) -> dict[str, int]:
    """Values by name, of those that are known."""
    return {name: value for name, value in zip(DWARF_NUMBERS[machine], values, strict=True) if value is not None}
