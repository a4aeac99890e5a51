"""Where the runtime's stubs put the registers that a call preserves: struct CalleeSavedRegisters (cgencpu.h of each machine)."""

from heaphound.dump.registers import Machine
from heaphound.layouts.schema import Layout
from heaphound.runtime.stacks.registers import CALLEE_SAVED


def saved_slots(layout: Layout, machine: Machine, address: int) -> dict[str, int]:
    """Each preserved register's name to the address of its slot in the CalleeSavedRegisters at an address. Raises LayoutError.

    The layout's fields are named as in the runtime's descriptor: `R12`, `Rbp`; `X19`, `Fp`, `Lr`.
    """
    return {name: address + layout.offset("CalleeSavedRegisters", name.capitalize()) for name in CALLEE_SAVED[machine]}


def captured_slots(layout: Layout, machine: Machine, address: int) -> dict[str, int]:
    """The same for the array of registers in a MachState: on arm64 x19 to fp in the order of their numbers, without lr (arm64/gmscpu.h)."""
    if machine == "x64":
        return saved_slots(layout, machine, address)
    names = [name for name in CALLEE_SAVED[machine] if name != "lr"]
    return {name: address + 8 * index for index, name in enumerate(names)}
