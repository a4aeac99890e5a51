"""The runtime's own CONTEXT structure, into which it saves all registers of a thread (src/coreclr/pal/inc/pal.h, the same as Windows')."""

from dataclasses import dataclass
from struct import unpack

from heaphound.dump.memory import Memory
from heaphound.dump.registers import Machine
from heaphound.runtime.stacks.registers import RegisterContext


@dataclass(frozen=True, slots=True)
class _Shape:
    """`names` are the general registers from `offset` on; of KNONVOLATILE_CONTEXT_POINTERS those that are filled in, by their index."""

    names: tuple[str, ...]
    offset: int
    ip: str
    sp: str
    pointers: dict[str, int]


# fmt: off
_X64 = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip",
)
# fmt: on
_ARM64 = (*(f"x{number}" for number in range(29)), "fp", "lr", "sp", "pc")
_ARM64_POINTERS = (*(f"x{number}" for number in range(19, 29)), "fp", "lr")
_SHAPES: dict[Machine, _Shape] = {
    # Rax, behind the homes of parameters, flags, segments and debug registers; sixteen pointers to vector registers come first.
    "x64": _Shape(_X64, 0x78, "rip", "rsp", {name: 16 + _X64.index(name) for name in ("rbx", "rbp", "r12", "r13", "r14", "r15")}),
    # X0, behind the flags of the structure and of the processor.
    "arm64": _Shape(_ARM64, 8, "pc", "sp", {name: index for index, name in enumerate(_ARM64_POINTERS)}),
}


def read_context(memory: Memory, address: int, machine: Machine) -> RegisterContext:
    """All general registers of the CONTEXT at an address. Raises Unreadable."""
    shape = _SHAPES[machine]
    values = unpack(f"<{len(shape.names)}Q", memory.bytes(address + shape.offset, 8 * len(shape.names)))
    found = dict(zip(shape.names, values, strict=True))
    where = {name: address + shape.offset + 8 * index for index, name in enumerate(shape.names) if name not in (shape.sp, shape.ip)}
    return RegisterContext.at(machine, found[shape.ip], found[shape.sp], found, where)


def with_context_pointers(memory: Memory, context: RegisterContext, address: int) -> RegisterContext:
    """The same registers, where the KNONVOLATILE_CONTEXT_POINTERS at an address say that they lie in the stack: read from there.

    A collection that moves an object corrects those slots and not the copy in the CONTEXT. Raises Unreadable.
    """
    pointers = _SHAPES[context.machine].pointers
    where = {name: memory.pointer(address + 8 * index) for name, index in pointers.items()}
    where = {name: pointer for name, pointer in where.items() if pointer}
    values = {name: memory.pointer(pointer) for name, pointer in where.items()}
    return RegisterContext(context.machine, {**context.values, **values}, {**context.saved_at, **where})
