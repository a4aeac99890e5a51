"""Undoes one frame of managed x64 code by its Windows-style UNWIND_INFO, which the runtime uses on every platform.

Formats: "x64 exception handling" of Microsoft's documentation; the code UWOP_SET_FPREG_LARGE and the absent version-2 codes:
src/coreclr/inc/win64unwind.h; epilogues: src/coreclr/unwinder/amd64/unwinder.cpp. The same from 3.0 to 10.0.
"""

from dataclasses import dataclass
from struct import unpack, unpack_from

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.runtime.stacks.epilogue_x64 import unwind_epilogue
from heaphound.runtime.stacks.registers import MASK, RegisterContext

# fmt: off
REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
# fmt: on
_PUSH, _ALLOC_LARGE, _ALLOC_SMALL, _SET_FRAME, _SAVE, _SAVE_FAR, _EPILOG, _SPARE, _SAVE_XMM, _SAVE_XMM_FAR, _MACHINE, _SET_FRAME_LARGE = (
    range(12)
)
_SLOTS = {
    _PUSH: 1,
    _ALLOC_SMALL: 1,
    _SET_FRAME: 1,
    _SAVE: 2,
    _SAVE_FAR: 3,
    _EPILOG: 1,
    _SPARE: 2,
    _SAVE_XMM: 2,
    _SAVE_XMM_FAR: 3,
    _MACHINE: 1,
}
_CHAINED = 4  # UNW_FLAG_CHAININFO
_FUNCTION_BYTES = 12  # RUNTIME_FUNCTION: begin, end and unwind information, relative to the image
_MAXIMUM_CHAIN = 32  # the unwinder of Windows gives up there too (UNWIND_CHAIN_LIMIT)


@dataclass(frozen=True, slots=True)
class UnwindCode:
    """One step of the prologue. `prolog_offset` is where the instruction after it begins; `value` the rest of its meaning, unscaled."""

    prolog_offset: int
    operation: int
    info: int
    value: int


@dataclass(frozen=True, slots=True)
class UnwindInfo:
    """One decoded UNWIND_INFO. `chained` is (begin, end, unwind information) of the parent fragment, relative, or None."""

    prolog_bytes: int
    frame_register: str | None
    frame_offset: int
    codes: tuple[UnwindCode, ...]
    chained: tuple[int, int, int] | None
    size_bytes: int
    """Bytes up to the end of the codes, padded to an even number of them: what follows is the handler or the chained entry."""


def read_unwind_info(memory: Memory, address: int) -> UnwindInfo:
    """Decode the UNWIND_INFO at an address. Raises Unreadable, or Malformed for a version or code that does not exist."""
    first, prolog_bytes, count, frame = memory.bytes(address, 4)
    if first & 7 not in (1, 2):
        raise Malformed(f"unwind information at {address:#x} has version {first & 7}, not 1 or 2")
    padded = count + (count & 1)
    chained = (first >> 3) & _CHAINED
    raw = memory.bytes(address + 4, 2 * padded + (_FUNCTION_BYTES if chained else 0))
    codes = _decode_codes(unpack_from(f"<{count}H", raw), address)
    frame_register = REGISTERS[frame & 15] if frame & 15 else None
    frame_offset = 16 * (frame >> 4)
    for code in codes:
        if code.operation == _SET_FRAME_LARGE:
            frame_offset = 16 * code.value
    parent = unpack("<III", raw[2 * padded :]) if chained else None
    return UnwindInfo(prolog_bytes, frame_register, frame_offset, codes, parent, 4 + 2 * padded)


def _decode_codes(slots: tuple[int, ...], address: int) -> tuple[UnwindCode, ...]:
    codes: list[UnwindCode] = []
    index = 0
    while index < len(slots):
        slot = slots[index]
        operation, info = slot >> 8 & 15, slot >> 12
        used = _slots(operation, info)
        if used is None or index + used > len(slots):
            raise Malformed(f"unwind information at {address:#x} has the code {slot:#06x}, which does not exist or is cut short")
        rest = slots[index + 1 : index + used]
        codes.append(UnwindCode(slot & 255, operation, info, rest[0] | rest[1] << 16 if len(rest) == 2 else sum(rest)))
        index += used
    return tuple(codes)


def _slots(operation: int, info: int) -> int | None:
    if operation == _ALLOC_LARGE:
        return {0: 2, 1: 3}.get(info)
    return 3 if operation == _SET_FRAME_LARGE else _SLOTS.get(operation)


def unwind(memory: Memory, context: RegisterContext, image_base: int, begin: int, unwind_info: int, active: bool) -> RegisterContext:
    """The caller's registers. `begin` is where the code fragment starts, `unwind_info` its UNWIND_INFO, both as addresses.

    Prologue and epilogue positions count only where the instruction pointer is the next instruction (`active`), not a return address.
    Raises Unreadable or Malformed; the stack pointer of the result is above that of `context`.
    """
    info = read_unwind_info(memory, unwind_info)
    at = context.ip - begin
    in_prolog = active and at < info.prolog_bytes
    if active and not in_prolog:
        caller = unwind_epilogue(memory, context, info.frame_register)
        if caller is not None:
            return _checked(context, caller)
    steps = _Steps(memory, context)
    steps.undo(info, at if in_prolog else None)
    for _ in range(_MAXIMUM_CHAIN):
        if info.chained is None:
            return _checked(context, steps.caller())
        info = read_unwind_info(memory, image_base + info.chained[2])
        steps.undo(info, None)
    raise LimitExceeded(f"more than {_MAXIMUM_CHAIN} pieces of unwind information at {unwind_info:#x} are chained")


def _checked(context: RegisterContext, caller: RegisterContext) -> RegisterContext:
    if caller.sp <= context.sp:
        raise Malformed(f"unwinding {context.ip:#x} moves the stack pointer from {context.sp:#x} to {caller.sp:#x}, not up")
    return caller


class _Steps:
    """The registers while the steps of prologues are undone, last step first."""

    def __init__(self, memory: Memory, context: RegisterContext) -> None:
        self._memory = memory
        self._context = context
        self._sp = context.sp
        self._values: dict[str, int] = {}
        self._saved_at: dict[str, int] = {}
        self._pushed_ip: int | None = None

    def undo(self, info: UnwindInfo, prolog_position: int | None) -> None:
        """Undo the codes of one UNWIND_INFO; in the prologue (`prolog_position` not None) only those of instructions that ran."""
        codes = [code for code in info.codes if prolog_position is None or code.prolog_offset <= prolog_position]
        base = self._sp
        sets_frame = any(code.operation in (_SET_FRAME, _SET_FRAME_LARGE) for code in codes)
        if info.frame_register is not None and (sets_frame or prolog_position is None):
            base = (self._register(info.frame_register) - info.frame_offset) & MASK
        for code in codes:
            self._undo(code, base, info)

    def _undo(self, code: UnwindCode, base: int, info: UnwindInfo) -> None:
        operation = code.operation
        if operation == _PUSH:
            self._restore(REGISTERS[code.info], self._sp)
            self._sp = (self._sp + 8) & MASK
        elif operation == _ALLOC_SMALL:
            self._sp = (self._sp + 8 * code.info + 8) & MASK
        elif operation == _ALLOC_LARGE:
            self._sp = (self._sp + (code.value if code.info else 8 * code.value)) & MASK
        elif operation in (_SET_FRAME, _SET_FRAME_LARGE):
            if info.frame_register is None:
                raise Malformed(f"unwind information of {self._context.ip:#x} sets up a frame register and names none")
            self._sp = base
        elif operation == _SAVE:
            self._restore(REGISTERS[code.info], (base + 8 * code.value) & MASK)
        elif operation == _SAVE_FAR:
            self._restore(REGISTERS[code.info], (base + code.value) & MASK)
        elif operation == _MACHINE:
            self._machine_frame(code.info)

    def _machine_frame(self, with_error_code: int) -> None:
        """What the processor pushes on an interrupt: (error code,) rip, cs, flags, rsp, ss."""
        at = (self._sp + 8 * (with_error_code & 1)) & MASK
        self._pushed_ip = self._memory.pointer(at)
        self._sp = self._memory.pointer(at + 24)

    def _restore(self, register: str, address: int) -> None:
        self._values[register] = self._memory.pointer(address)
        self._saved_at[register] = address

    def _register(self, name: str) -> int:
        return self._values[name] if name in self._values else self._context.value(name)

    def caller(self) -> RegisterContext:
        """The caller's registers, once everything is undone: its return address lies at the stack pointer."""
        if self._pushed_ip is not None:
            return self._context.moved(self._pushed_ip, self._sp, self._values, self._saved_at)
        return self._context.moved(self._memory.pointer(self._sp), self._sp + 8, self._values, self._saved_at)
