"""Where the runtime's stubs put the registers that a call preserves: struct CalleeSavedRegisters (cgencpu.h of each machine)."""

from heaphound.dump.registers import Machine
from heaphound.layouts.schema import Layout
from heaphound.runtime.stacks.registers import CALLEE_SAVED

STRUCTURE = "CalleeSavedRegisters"


def saved_slots(layout: Layout, machine: Machine, address: int, structure: str = STRUCTURE) -> dict[str, int]:
    """Each preserved register's name to the address of its slot in the structure at an address. Raises LayoutError.

    The layout's fields are named as in the runtime's descriptor: `R12`, `Rbp`; `X19`, `Fp`, `Lr`.
    """
    return {name: address + layout.offset(structure, name.capitalize()) for name in CALLEE_SAVED[machine]}
