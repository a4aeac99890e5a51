"""The registers that the kernel saved on the stack when it delivered a signal.

A handler returns into a few instructions that call rt_sigreturn: they are part of the kernel's interface, and so is the frame above the
stack pointer there. glibc describes it by call frame information on x64, musl does not, and the information of arm64's vdso is none of
the interrupted code. Sources: arch/x86/include/asm/sigframe.h and arch/x86/include/uapi/asm/sigcontext.h, arch/arm64/kernel/signal.c and
arch/arm64/include/uapi/asm/sigcontext.h of Linux.
"""

from collections.abc import Mapping
from struct import pack

from heaphound.dump.memory import Memory
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.errors import Unreadable

_RETURN_CODE = {
    "x64": (b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", b"\xb8\x0f\x00\x00\x00\x0f\x05"),  # mov $15, %rax (or %eax); syscall
    "arm64": (pack("<II", 0xD2801168, 0xD4000001),),  # mov x8, #139; svc #0
}
# Names in the order of the frame, and where the first lies: x64 `struct ucontext` (40 bytes to uc_mcontext) is at the stack pointer; arm64
# has siginfo (128), then `struct ucontext` (176 to uc_mcontext), whose first word is the fault's address.
# fmt: off
_SAVED: dict[str, tuple[int, tuple[str, ...]]] = {
    "x64": (40, ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip")),
    "arm64": (128 + 176 + 8, (*(f"x{number}" for number in range(29)), "fp", "lr", "sp", "pc")),
}
# fmt: on


def interrupted_registers(memory: Memory, machine: str, values: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]] | None:
    """(registers where a signal was delivered, where each is saved), if `values` stand where a handler returns to; else None.

    Raises Unreadable where the code is that, and the frame is not in the dump.
    """
    ip_name, sp_name, _ = IP_SP_FP[machine]
    for code in _RETURN_CODE[machine]:
        try:
            if memory.bytes(values[ip_name], len(code)) != code:
                continue
        except Unreadable:
            return None
        offset, names = _SAVED[machine]
        start = values[sp_name] + offset
        found = dict(zip(names, memory.words(start, len(names)), strict=True))
        return found, {name: start + 8 * index for index, name in enumerate(names)}
    return None
