"""Recognises x64 epilogues, whose effect unwind information does not describe: add or lea to rsp, pops, then ret or a tail jump.

The rule of the x64 ABI, as src/coreclr/unwinder/amd64/unwinder.cpp applies it: an epilogue consists of nothing else, so the instructions
from the current one on tell for certain whether the frame is being torn down.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable
from heaphound.runtime.stacks.registers import MASK, RegisterContext

_POPPED = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
_MAXIMUM_BYTES = 64  # add rsp (7), at most eight pops of two bytes, vzeroupper (3), a jump (6)


def unwind_epilogue(memory: Memory, context: RegisterContext, frame_register: str | None) -> RegisterContext | None:
    """The caller's registers if the instruction pointer stands in an epilogue, else None. Raises Unreadable for the stack alone."""
    try:
        code = memory.bytes(context.ip, min(_MAXIMUM_BYTES, memory.readable_bytes(context.ip, _MAXIMUM_BYTES)))
    except Unreadable:
        return None
    position, sp = _stack_release(code, context, frame_register)
    popped: list[str] = []
    while (step := _pop(code, position)) is not None:
        popped.append(step[0])
        position = step[1]
    if not _leaves(code, position):
        return None
    values, saved_at = {}, {}
    for register in popped:
        values[register] = memory.pointer(sp)
        saved_at[register] = sp
        sp = (sp + 8) & MASK
    return context.moved(memory.pointer(sp), sp + 8, values, saved_at)


def _stack_release(code: bytes, context: RegisterContext, frame_register: str | None) -> tuple[int, int]:
    """(bytes of the instruction that releases the frame's locals or 0, stack pointer after it)."""
    sp = context.sp
    if code[:3] == b"\x48\x83\xc4" and len(code) > 3:  # add rsp, imm8
        return 4, (sp + int.from_bytes(code[3:4], "little", signed=True)) & MASK
    if code[:3] == b"\x48\x81\xc4" and len(code) > 6:  # add rsp, imm32
        return 7, (sp + int.from_bytes(code[3:7], "little", signed=True)) & MASK
    if frame_register is not None and len(code) > 6 and code[0] & 0xFE == 0x48 and code[1] == 0x8D:  # lea rsp, [frame register + disp]
        register = _POPPED[(code[2] & 7) | (code[0] & 1) << 3]
        if register == frame_register and code[2] >> 3 & 7 == 4 and register in context.values:
            if code[2] >> 6 == 1:
                return 4, (context.values[register] + int.from_bytes(code[3:4], "little", signed=True)) & MASK
            if code[2] >> 6 == 2:
                return 7, (context.values[register] + int.from_bytes(code[3:7], "little", signed=True)) & MASK
    return 0, sp


def _pop(code: bytes, position: int) -> tuple[str, int] | None:
    """(register, position after) of a pop at a position, else None."""
    if position < len(code) and 0x58 <= code[position] <= 0x5F:
        return _POPPED[code[position] & 7], position + 1
    if position + 1 < len(code) and code[position] == 0x41 and 0x58 <= code[position + 1] <= 0x5F:
        return _POPPED[8 + (code[position + 1] & 7)], position + 2
    return None


def _leaves(code: bytes, position: int) -> bool:
    """Whether the code returns or tail-jumps: ret, rep ret, ret imm16, jmp [rip + disp], jmp through a register with REX.W."""
    rest = code[position : position + 3]
    if rest[:1] in (b"\xc3", b"\xc2") or rest[:2] in (b"\xf3\xc3", b"\xff\x25"):
        return True
    return len(rest) == 3 and rest[0] & 0xF8 == 0x48 and rest[1] == 0xFF and rest[2] >> 3 & 7 == 4 and rest[2] >> 6 == 3
