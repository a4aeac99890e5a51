"""Registers of one frame, by name, with where each callee-saved one was stored: the same shape for every architecture."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from heaphound.dump.registers import Machine
from heaphound.errors import Malformed

MASK = (1 << 64) - 1

# System V x64 ABI (the runtime's clrconfignative: CalleeSavedRegisters of src/coreclr/vm/amd64/cgencpu.h); AAPCS64.
CALLEE_SAVED: dict[str, tuple[str, ...]] = {
    "x64": ("rbx", "rbp", "r12", "r13", "r14", "r15"),
    "arm64": (*(f"x{number}" for number in range(19, 29)), "fp", "lr"),
}
# In the order of HijackArgs (cgencpu.h of each machine, v10.0); the last has the continuation of a method that the runtime suspends.
RETURN_REGISTERS = {"x64": ("rax", "rdx", "rcx"), "arm64": ("x0", "x1", "x2")}
FRAME_POINTER = {"x64": "rbp", "arm64": "fp"}
_SPECIAL = {"x64": ("rip", "rsp", "rbp"), "arm64": ("pc", "sp", "fp")}
_SIGNED_BITS = {"x64": 0, "arm64": MASK & ~((1 << 48) - 1)}


def code_address(machine: Machine, value: int) -> int:
    """An instruction's address out of a saved one, without the signature that pointer authentication of arm64 may have put above it.

    Linux gives a process addresses of more than 48 bits only where it asks for one (Documentation/arch/arm64/memory.rst), which .NET does
    not.
    """
    return value & ~_SIGNED_BITS[machine]


@dataclass(slots=True)  # not frozen, and never changed: setting a frozen one's fields takes longer than finding their values
class RegisterContext:
    """Values of the registers that are known in one frame, named as in `heaphound.dump.registers`.

    A register that is not in `values` is not known there (a caller's scratch register, say). `saved_at` has the stack address that a
    callee-saved register was restored from while unwinding to this frame; a register that is in `values` alone is still live in the CPU, or
    its value came from a copy that no slot of the stack holds.
    """

    machine: Machine
    values: Mapping[str, int] = field(repr=False)
    saved_at: Mapping[str, int] = field(default_factory=dict, repr=False)

    @staticmethod
    def at(machine: Machine, ip: int, sp: int, values: Mapping[str, int], saved_at: Mapping[str, int]) -> "RegisterContext":
        """The registers of a frame that goes on at `ip` with the stack pointer `sp`; `values` are the others that are known."""
        ip_name, sp_name, _ = _SPECIAL[machine]
        return RegisterContext(machine, {**values, ip_name: code_address(machine, ip & MASK), sp_name: sp & MASK}, saved_at)

    @property
    def ip(self) -> int:
        """Instruction pointer: where this frame goes on."""
        return self.value(_SPECIAL[self.machine][0])

    @property
    def sp(self) -> int:
        """Stack pointer."""
        return self.value(_SPECIAL[self.machine][1])

    @property
    def fp(self) -> int:
        """Frame pointer register; holds anything in a frame without one."""
        return self.value(_SPECIAL[self.machine][2])

    def value(self, name: str) -> int:
        """One register; Malformed where its value is not known in this frame."""
        try:
            return self.values[name]
        except KeyError:
            raise Malformed(f"register {name} is not known in this frame") from None

    def moved(self, ip: int, sp: int, values: Mapping[str, int], saved_at: Mapping[str, int]) -> "RegisterContext":
        """The caller's registers: callee-saved ones of this frame overlaid with `values`; scratch registers are lost."""
        kept = {name: self.values[name] for name in CALLEE_SAVED[self.machine] if name in self.values}
        where = {name: address for name, address in self.saved_at.items() if name not in values}
        return RegisterContext.at(self.machine, ip, sp, {**kept, **values}, {**where, **saved_at})
