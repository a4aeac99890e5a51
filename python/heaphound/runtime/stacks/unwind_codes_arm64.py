"""The unwind codes of arm64, each the trace of one instruction of a prologue or epilogue.

Source: "ARM64 exception handling" of Microsoft's documentation, as src/coreclr/unwinder/arm64/unwinder.cpp applies it. Codes that it
refuses or that no compiler of managed code writes (trap frames, ARM64EC, vector registers of variable length) are Malformed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from heaphound.errors import Malformed

END, END_CHAINED = 0xE4, 0xE5
_FP, _LR = 29, 30
_ALLOCATE_LARGE, _SET_FP, _ADD_FP, _NOP, _SAVE_NEXT, _SAVE_ANY = 0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7
_MACHINE_FRAME, _CONTEXT, _CLEAR_UNWOUND, _FIRST_RESERVED, _LAST_LONG, _SIGN_LR = 0xE9, 0xEA, 0xEC, 0xF8, 0xFB, 0xFC
_UNCOUNTED = range(0xE8, 0xF8)  # no instruction of the code stands behind them

Operation = Literal["allocate", "save", "set fp", "next pair", "machine frame", "context", "sign lr", "nothing", "end", "end chained"]


@dataclass(frozen=True, slots=True)
class UnwindCode:
    """One code. `size_bytes` in the codes, `instructions` of the code that it stands for (1 or 0).

    `allocate`: `offset` bytes. `save`: `registers` by their numbers (empty for vector registers of 8 or 16 bytes, which hold no
    references), the first of them `offset` bytes above the stack pointer, which was moved down by `allocated` first; `pair` where codes
    before it may lengthen the list. `set fp`: the frame pointer was set `offset` bytes above the stack pointer.
    """

    operation: Operation
    size_bytes: int = 1
    instructions: int = 1
    offset: int = 0
    registers: tuple[int, ...] = ()
    allocated: int = 0
    pair: bool = False


def codes_from(codes: bytes, index: int) -> Iterator[UnwindCode]:
    """The codes from an index up to the mark of the end, or where the bytes end. Raises Malformed for one that does not exist."""
    while index < len(codes):
        code = _decode(codes, index)
        if code.operation == "end":
            return
        yield code
        index += code.size_bytes


def scope_instructions(codes: bytes, index: int) -> int:
    """How many instructions a prologue has, or an epilogue without its return, whose codes begin at an index. Raises Malformed."""
    total = 0
    for code in codes_from(codes, index):
        if code.operation == "end chained":
            break
        total += code.instructions
    return total


def _decode(codes: bytes, index: int) -> UnwindCode:
    first = codes[index]
    if first < 0xC0:
        return _one_byte(first)
    if first < 0xE0:
        return _two_bytes(first, _following(codes, index, 1)[0])
    if first == _ALLOCATE_LARGE:
        return UnwindCode("allocate", 4, offset=16 * int.from_bytes(_following(codes, index, 3), "big"))
    if first == _ADD_FP:
        return UnwindCode("set fp", 2, offset=8 * _following(codes, index, 1)[0])
    if first == _SAVE_ANY:
        return _any_register(int.from_bytes(_following(codes, index, 2), "big"))
    plain: dict[int, Operation] = {
        _SET_FP: "set fp",
        _NOP: "nothing",
        END: "end",
        END_CHAINED: "end chained",
        _SAVE_NEXT: "next pair",
        _MACHINE_FRAME: "machine frame",
        _CONTEXT: "context",
        _CLEAR_UNWOUND: "nothing",
        _SIGN_LR: "sign lr",
    }
    if first in plain:
        return UnwindCode(plain[first], instructions=0 if first in _UNCOUNTED else 1)
    if first >= _FIRST_RESERVED:  # reserved, to be passed over
        size = first - _FIRST_RESERVED + 2 if first <= _LAST_LONG else 1
        _following(codes, index, size - 1)
        return UnwindCode("nothing", size)
    raise Malformed(f"the unwind code {first:#x} of arm64 does not exist in managed code")


def _following(codes: bytes, index: int, count: int) -> bytes:
    found = codes[index + 1 : index + 1 + count]
    if len(found) < count:
        raise Malformed(f"the unwind code {codes[index]:#x} of arm64 is cut short")
    return found


def _one_byte(first: int) -> UnwindCode:
    low = first & 0x3F
    if first < 0x20:  # alloc_s
        return UnwindCode("allocate", offset=16 * first)
    if first < 0x40:  # save_r19r20_x
        return UnwindCode("save", registers=(19, 20), allocated=8 * (first & 0x1F), pair=True)
    if first < 0x80:  # save_fplr
        return UnwindCode("save", offset=8 * low, registers=(_FP, _LR))
    return UnwindCode("save", registers=(_FP, _LR), allocated=8 * low + 8)  # save_fplr_x


def _two_bytes(first: int, second: int) -> UnwindCode:
    both, place = first << 8 | second, second & 0x3F
    if first < 0xC8:  # alloc_m
        return UnwindCode("allocate", 2, offset=16 * (both & 0x7FF))
    number = 19 + (both >> 6 & 15)
    if first < 0xCC:  # save_regp
        return UnwindCode("save", 2, offset=8 * place, registers=(number, number + 1), pair=True)
    if first < 0xD0:  # save_regp_x
        return UnwindCode("save", 2, registers=(number, number + 1), allocated=8 * place + 8, pair=True)
    if first < 0xD4:  # save_reg
        return UnwindCode("save", 2, offset=8 * place, registers=(number,))
    if first < 0xD6:  # save_reg_x
        return UnwindCode("save", 2, registers=(19 + (both >> 5 & 15),), allocated=8 * (second & 31) + 8)
    if first < 0xD8:  # save_lrpair
        return UnwindCode("save", 2, offset=8 * place, registers=(19 + 2 * (both >> 6 & 7), _LR))
    return _vector_register(first, place, second)


def _vector_register(first: int, place: int, second: int) -> UnwindCode:
    if first in (0xD8, 0xD9):  # save_fregp
        return UnwindCode("save", 2, offset=8 * place, pair=True)
    if first in (0xDA, 0xDB):  # save_fregp_x
        return UnwindCode("save", 2, allocated=8 * place + 8, pair=True)
    if first in (0xDC, 0xDD):  # save_freg
        return UnwindCode("save", 2, offset=8 * place)
    if first == 0xDE:  # save_freg_x
        return UnwindCode("save", 2, allocated=8 * (second & 31) + 8)
    raise Malformed("the unwind code 0xdf of arm64 (alloc_z) does not exist in managed code")


def _any_register(both: int) -> UnwindCode:
    """save_any_reg: 0pxrrrrr ffoooooo, p pair, x pre-indexed, f the kind of register (x, d, q)."""
    pair, indexed, kind, place = both >> 14 & 1, both >> 13 & 1, both >> 6 & 3, both & 0x3F
    if both >> 15 or kind == 3:
        raise Malformed(f"the unwind code 0xe7 of arm64 has the operands {both:#06x}, which do not exist")
    unit = 16 if pair or indexed or kind == 2 else 8
    number = both >> 8 & 31
    registers = tuple(range(number, number + 1 + pair)) if kind == 0 else ()
    allocated, offset = (unit * (place + 1), 0) if indexed else (0, unit * place)
    return UnwindCode("save", 3, offset=offset, registers=registers, allocated=allocated, pair=bool(pair))
