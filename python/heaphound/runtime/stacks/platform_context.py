"""The runtime's own CONTEXT structure, into which it saves all registers of a thread (src/coreclr/pal/inc/pal.h, the same as Windows')."""

from struct import unpack

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.stacks.registers import RegisterContext

# fmt: off
_X64 = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)
# fmt: on
_X64_OFFSET = 0x78  # Rax, behind the homes of parameters, flags, segments and debug registers
_X64_INTEGER_POINTERS = 16 * 8  # behind the pointers to sixteen xmm registers
_X64_NONVOLATILE = ("rbx", "rbp", "r12", "r13", "r14", "r15")  # the only pointers that are filled in


def read_context(memory: Memory, address: int, machine: str) -> RegisterContext:
    """All general registers of the CONTEXT at an address. Raises Unreadable, Malformed for another machine than x64."""
    if machine != "x64":
        raise Malformed(f"a CONTEXT of {machine} cannot be read")
    values = unpack(f"<{len(_X64)}Q", memory.bytes(address + _X64_OFFSET, 8 * len(_X64)))
    where = {name: address + _X64_OFFSET + 8 * index for index, name in enumerate(_X64) if name not in ("rsp", "rip")}
    return RegisterContext("x64", dict(zip(_X64, values, strict=True)), where)


def with_context_pointers(memory: Memory, context: RegisterContext, address: int) -> RegisterContext:
    """The same registers, where the KNONVOLATILE_CONTEXT_POINTERS at an address say that they lie in the stack: read from there.

    A collection that moves an object corrects those slots and not the copy in the CONTEXT. Raises Unreadable.
    """
    pointers = unpack(f"<{len(_X64) - 1}Q", memory.bytes(address + _X64_INTEGER_POINTERS, 8 * (len(_X64) - 1)))
    where = {name: pointer for name, pointer in zip(_X64, pointers, strict=False) if pointer and name in _X64_NONVOLATILE}
    values = {name: memory.pointer(pointer) for name, pointer in where.items()}
    return RegisterContext("x64", {**context.values, **values}, {**context.saved_at, **where})
