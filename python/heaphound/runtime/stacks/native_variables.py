"""Where the JIT put the arguments and locals of a method: one entry for each place and each range of code.

Format: ICorDebugInfo::NativeVarInfo as src/coreclr/vm/debuginfostore.cpp stores it (TransferReader, DoNativeVarInfo), the same from 3.0 to
10.0 and in ready-to-run images; meanings of the places: VarLocType of src/coreclr/inc/cordebuginfo.h.
"""

from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.stacks.debug_info import Nibbles

RETURN_BUFFER, TYPE_CONTEXT = -2, -3  # numbers of what is no IL variable: RETBUF_ILNUM, TYPECTXT_ILNUM
_BIAS = -4  # MAX_ILNUM
PlaceKind = Literal[
    "register",
    "address in a register",
    "floating-point register",
    "stack",
    "address on the stack",
    "two registers",
    "register and stack",
    "stack and register",
    "two stack slots",
    "x87 register",
    "variable argument",
]
# fmt: off
_KINDS: tuple[PlaceKind, ...] = (
    "register", "address in a register", "floating-point register", "stack", "address on the stack", "two registers",
    "register and stack", "stack and register", "two stack slots", "x87 register", "variable argument",
)
# fmt: on
_MASK = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class NativeVariable:
    """One place of one variable, in code from `start` up to `end` (bytes from the start of the method).

    `number` counts arguments, `this` first, then locals; negative ones are the return buffer and the generic context. `registers` are
    the architecture's numbers in order of the value's parts; `base` is the register that a stack slot lies `offset` bytes from.
    """

    number: int
    start: int
    end: int
    kind: PlaceKind
    registers: tuple[int, ...] = ()
    base: int | None = None
    offset: int = 0


def decode_variables(data: bytes) -> tuple[NativeVariable, ...]:
    """All entries of one method. Raises Malformed, LimitExceeded."""
    if not data:
        return ()
    numbers = Nibbles(data)
    count = numbers.number()
    if count > LIMITS.native_variables:
        raise LimitExceeded(f"a method claims {count} places of variables, more than {LIMITS.native_variables}")
    return tuple(_entry(numbers) for _ in range(count))


def _entry(numbers: Nibbles) -> NativeVariable:
    start = numbers.number()
    end = start + numbers.number()
    number = (numbers.number() + _BIAS) & _MASK
    if number > _MASK + _BIAS - 1:
        number -= 1 << 32
    kind_number = numbers.number()
    if kind_number >= len(_KINDS):
        raise Malformed(f"debug information has a variable in a place of kind {kind_number}")
    kind = _KINDS[kind_number]
    registers: tuple[int, ...] = ()
    base: int | None = None
    offset = 0
    if kind in ("register", "address in a register", "floating-point register", "x87 register"):
        registers = (numbers.number(),)
    elif kind in ("stack", "address on the stack", "two stack slots"):
        base, offset = numbers.number(), _signed(numbers)
    elif kind == "two registers":
        registers = (numbers.number(), numbers.number())
    elif kind == "register and stack":
        registers = (numbers.number(),)
        base, offset = numbers.number(), _signed(numbers)
    elif kind == "stack and register":
        offset, base = _signed(numbers), numbers.number()
        registers = (numbers.number(),)
    else:
        offset = numbers.number()
    return NativeVariable(number, start, end, kind, registers, base, offset)


def _signed(numbers: Nibbles) -> int:
    """A signed number: its sign is the lowest bit."""
    value = numbers.number()
    return -(value >> 1) if value & 1 else value >> 1
