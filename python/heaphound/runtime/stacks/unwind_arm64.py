"""Undoes one frame of managed arm64 code by its Windows-style unwind data, which the runtime uses on every platform.

Algorithm: RtlpUnwindFunctionFull of src/coreclr/unwinder/arm64/unwinder.cpp. Which codes apply is told by the place of the instruction in
the prologue, an epilogue, or neither; the rule serves return addresses too.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.runtime_functions import WORD_BYTES
from heaphound.runtime.stacks.platform_context import read_context
from heaphound.runtime.stacks.registers import MASK, RegisterContext
from heaphound.runtime.stacks.unwind_codes_arm64 import UnwindCode, codes_from, scope_instructions
from heaphound.runtime.stacks.unwind_data_arm64 import UnwindData, read_unwind_data

_NAMES = (*(f"x{number}" for number in range(29)), "fp", "lr")


def unwind(memory: Memory, context: RegisterContext, image_base: int, begin: int, unwind_info: int) -> RegisterContext:
    """The caller's registers. `begin` is where the piece of code starts, `unwind_info` its unwind data plus `image_base`.

    A leaf that saves nothing has its caller's stack pointer; in any other frame that of the result is above that of `context`. Raises
    Unreadable or Malformed.
    """
    data = read_unwind_data(memory, image_base, unwind_info)
    index, skipped = _where(data, (context.ip - begin) // WORD_BYTES)
    steps = _Steps(memory, context)
    for code in codes_from(data.codes, index):
        if skipped and code.operation != "end chained":
            skipped -= 1
            continue
        skipped = 0
        steps.undo(code)
    caller = steps.caller()
    if caller.sp < context.sp or (caller.sp, caller.ip) == (context.sp, context.ip):
        raise Malformed(f"unwinding {context.ip:#x} moves the stack pointer from {context.sp:#x} to {caller.sp:#x}, not up")
    return caller


def _where(data: UnwindData, position: int) -> tuple[int, int]:
    """(index of the first code, codes to leave out) for an instruction: not yet run in a prologue, already run in an epilogue."""
    prolog = scope_instructions(data.codes, 0)
    if position < prolog:
        return 0, prolog - position
    epilogs = data.epilogs
    if data.at_end is not None:
        epilogs = ((data.words - 1 - scope_instructions(data.codes, data.at_end), data.at_end),)
    start, index = max((epilog for epilog in epilogs if epilog[0] <= position), default=(position + 1, 0))
    if start <= position <= start + scope_instructions(data.codes, index):
        return index, position - start
    return 0, 0


class _Steps:
    """The registers while the instructions of a prologue are undone, last one first, or those left of an epilogue are run."""

    def __init__(self, memory: Memory, context: RegisterContext) -> None:
        self._memory = memory
        self._context = context
        self._sp = context.sp
        self._values: dict[str, int] = {}
        self._saved_at: dict[str, int] = {}
        self._pairs = 0
        self._ip: int | None = None

    def undo(self, code: UnwindCode) -> None:
        """Undo one instruction."""
        if self._pairs and not code.pair and code.operation not in ("next pair", "end chained"):
            raise Malformed(f"unwind data of {self._context.ip:#x} lists pairs of registers and then no pair to start from")
        if code.operation == "allocate":
            self._sp = (self._sp + code.offset) & MASK
        elif code.operation == "save":
            self._restore(code)
        elif code.operation == "set fp":
            self._sp = (self._register("fp") - code.offset) & MASK
        elif code.operation == "next pair":
            self._pairs += 1
        elif code.operation == "machine frame":  # what the kernel pushes on an interrupt: sp and pc
            self._ip, self._sp = self._memory.pointer(self._sp + 8), self._memory.pointer(self._sp)
        elif code.operation == "context":
            saved = read_context(self._memory, self._sp, "arm64")
            self._values.update({name: saved.value(name) for name in _NAMES})
            self._saved_at.update(saved.saved_at)
            self._ip, self._sp = saved.ip, saved.sp

    def _restore(self, code: UnwindCode) -> None:
        registers = code.registers
        if registers and self._pairs:
            registers = tuple(range(registers[0], registers[-1] + 1 + 2 * self._pairs))
        self._pairs = 0
        if max(registers, default=0) >= len(_NAMES):
            raise Malformed(f"unwind data of {self._context.ip:#x} restores register {max(registers)}, which does not exist")
        for place, number in enumerate(registers):
            address = (self._sp + code.offset + 8 * place) & MASK
            self._values[_NAMES[number]] = self._memory.pointer(address)
            self._saved_at[_NAMES[number]] = address
        self._sp = (self._sp + code.allocated) & MASK

    def _register(self, name: str) -> int:
        return self._values[name] if name in self._values else self._context.value(name)

    def caller(self) -> RegisterContext:
        """The caller's registers, once everything is undone: the link register says where it goes on."""
        ip = self._register("lr") if self._ip is None else self._ip
        return self._context.moved(ip, self._sp, self._values, self._saved_at)
