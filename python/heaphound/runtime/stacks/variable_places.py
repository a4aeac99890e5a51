"""What lies at the place of a variable, in one frame: an address of the dump, or bytes that registers hold."""

from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.gc_info.encoding import encoding_of
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.runtime.stacks.native_variables import NativeVariable

_WORD = 8
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class VariablePlace:
    """A place with its name as debuggers write it: `rbx`, `[rbp-0x18]`.

    `address` is None where the value is (also in part) in the CPU's registers or in a copy of them; then `data` are its bytes, as many
    as the place has. `registers` are the names of those that hold the value, or parts of it.
    """

    words: str
    address: int | None
    data: bytes | None = None
    registers: tuple[str, ...] = ()


def place_of(memory: Memory, frame: ManagedFrame, variable: NativeVariable) -> VariablePlace:
    """Where the value is. Raises Malformed where the frame does not know the register, or for a place that this machine does not have,
    Unreadable where a pointer to the value is not in the dump."""
    kind = variable.kind
    if kind == "register":
        return _register(frame, variable.registers[0])
    if kind == "stack" or kind == "two stack slots":
        return _stack(frame, variable)
    if kind == "address in a register":
        name = _name(frame, variable.registers[0])
        return VariablePlace(f"[{name}]", frame.context.value(name))
    if kind == "address on the stack":
        slot = _stack(frame, variable)
        return VariablePlace(f"[{slot.words}]", memory.pointer(slot.address or 0))
    if kind == "two registers":
        names = [_name(frame, number) for number in variable.registers]
        return VariablePlace(":".join(names), None, b"".join(_bytes(frame.context.value(name)) for name in names), tuple(names))
    if kind in ("register and stack", "stack and register"):
        return _split(memory, frame, variable)
    if kind == "floating-point register":
        raise Malformed("it is in a floating-point register")
    raise Malformed(f"it is in a place that {frame.context.machine} does not have ({kind})")


def word_of(memory: Memory, frame: ManagedFrame, variable: NativeVariable) -> int:
    """The first eight bytes at a place. Raises as `place_of`, and Unreadable."""
    place = place_of(memory, frame, variable)
    if place.address is not None:
        return memory.pointer(place.address)
    return int.from_bytes((place.data or b"")[:_WORD], "little")


def _register(frame: ManagedFrame, number: int) -> VariablePlace:
    name = _name(frame, number)
    value = frame.context.value(name)
    return VariablePlace(name, frame.context.saved_at.get(name), _bytes(value), (name,))


def _stack(frame: ManagedFrame, variable: NativeVariable) -> VariablePlace:
    base = _name(frame, variable.base or 0)
    sign = "-" if variable.offset < 0 else "+"
    words = f"[{base}{sign}{abs(variable.offset):#x}]"
    return VariablePlace(words, (frame.context.value(base) + variable.offset) & _MASK)


def _split(memory: Memory, frame: ManagedFrame, variable: NativeVariable) -> VariablePlace:
    """One word in a register, the other on the stack."""
    register, slot = _register(frame, variable.registers[0]), _stack(frame, variable)
    on_stack = memory.bytes(slot.address or 0, _WORD)
    pieces = [(register.words, register.data or b""), (slot.words, on_stack)]
    if variable.kind == "stack and register":
        pieces.reverse()
    return VariablePlace(":".join(words for words, _ in pieces), None, b"".join(data for _, data in pieces), register.registers)


def _name(frame: ManagedFrame, number: int) -> str:
    names = encoding_of(frame.context.machine).registers
    if number >= len(names):
        raise Malformed(f"it is in register {number}, which {frame.context.machine} does not have")
    return names[number]


def _bytes(value: int) -> bytes:
    return value.to_bytes(_WORD, "little")
