"""r8 and r9 of a thread's own registers, which the oracle's library exchanges on x64.

ClrMD reads a core's NT_PRSTATUS by a structure that names R8 before R9 (RegSetX64 of Microsoft.Diagnostics.Runtime); the kernel writes
r9 first (user_regs_struct of arch/x86/include/asm/user_64.h). So where a thread was stopped in managed code, what it tells of a live r8 is
what r9 holds, and the other way round; it tells nothing where that is no object.
"""

from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.session import Session
from tests.lab.stack_agreement import StackDifference

_OTHER = {"r8": "r9", "r9": "r8"}


class SwappedRegisters:
    """Tells which differences come of it."""

    def __init__(self, session: Session) -> None:
        self._told: dict[tuple[int, str, str], str | None] = {}
        """Thread, stack pointer, register → the object that the oracle takes it for; None for no object."""
        if session.core.machine != "x64":
            return
        table = session.table
        for thread in session.threads:
            first = next(iter(session.stacks.walk(thread)), None)
            if not isinstance(first, ManagedFrame) or not first.active:
                continue
            for register, other in _OTHER.items():
                index = table.index_containing(first.context.value(other))
                self._told[thread.os_id or 0, hex(first.sp), register] = None if index is None else hex(table.address_of(index))

    def explain(self, one: StackDifference, differences: list[StackDifference]) -> bool:
        """Whether the oracle tells what it must of that register: the object in the other one, or nothing."""
        place = (one.os_id, one.sp, one.slot)
        if place not in self._told:
            return False
        told = self._told[place]
        theirs = [each for each in differences if each.side == "oracle's" and (each.os_id, each.sp, each.slot) == place]
        if one.side == "oracle's":
            return told is not None and f"'{told}'" in one.key
        return told is None or any(f"'{told}'" in each.key for each in theirs)
