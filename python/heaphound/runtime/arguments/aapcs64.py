"""Calling convention of arm64, as the runtime's own code uses it on Unix.

Source: ArgIterator for TARGET_ARM64 of src/coreclr/vm/callingconvention.h, MethodTable::GetHFAType of class.cpp, v3.1 to v10.0: eight
general and eight vector registers; a struct of one to four floating-point numbers or vectors of one size goes into vector registers, any
other of up to 16 bytes into general ones, whole; where the registers left do not suffice, it goes onto the stack and so do all that
follow; a larger one is passed by reference. The buffer of a result is passed in x8, which is no argument.
"""

from heaphound.runtime.arguments.places import ArgumentKind, Piece
from heaphound.runtime.element_types import ElementType

_REGISTERS = 8
_WORD = 8
_LARGEST_BY_VALUE = 16
_MOST_PARTS = 4
_VECTOR_BYTES = (8, 16)
_FLOATS = (ElementType.R4, ElementType.R8)


class Arm64Arguments:
    """Hands out places, argument by argument. Offsets of places are from the TransitionBlock's start.

    `registers` is where the general argument registers lie in it, `stack` where the stack arguments begin: behind it.
    """

    def __init__(self, registers: int, stack: int) -> None:
        self._registers = registers
        self._stack = stack
        self._used = 0
        self._vectors_used = 0

    def hidden(self) -> int:
        """The place of a hidden argument (`this`, generic context), which always is in a register."""
        self._used += 1
        return self._registers + _WORD * (self._used - 1)

    def result_buffer(self, kind: ArgumentKind) -> int | None:
        """The place of x8, which holds the address of a result's buffer and lies before x0; None where the result is in registers."""
        in_memory = kind.is_struct and kind.size_bytes > _LARGEST_BY_VALUE and not vector_registers(kind)
        return self._registers - _WORD if in_memory else None

    def place(self, kind: ArgumentKind) -> tuple[Piece, ...]:
        """Where the parts of the next argument lie; parts in vector registers, which hold no references, are left out."""
        vectors = vector_registers(kind)
        if vectors:
            if self._vectors_used + vectors <= _REGISTERS:
                self._vectors_used += vectors
            else:
                self._vectors_used = _REGISTERS
                self._stack += _whole_words(kind.size_bytes)
            return ()
        by_reference = kind.size_bytes > _LARGEST_BY_VALUE
        size_bytes = _WORD if by_reference else _whole_words(kind.size_bytes)
        if self._used + size_bytes // _WORD <= _REGISTERS:
            self._used += size_bytes // _WORD
            return (Piece(self._registers + _WORD * self._used - size_bytes, 0, size_bytes, by_reference),)
        self._used = _REGISTERS
        self._stack += size_bytes
        return (Piece(self._stack - size_bytes, 0, size_bytes, by_reference),)


def vector_registers(kind: ArgumentKind) -> int:
    """How many vector registers an argument takes; 0 for one that goes into general registers."""
    if not kind.is_struct:
        return 1 if kind.element_type in _FLOATS else 0
    kinds = {(leaf.element_type, leaf.size_bytes) for leaf in kind.leaves}
    if len(kinds) != 1 or len(kind.leaves) > _MOST_PARTS:
        return 0
    each, first = kind.leaves[0].size_bytes, kind.leaves[0]
    if first.element_type not in _FLOATS and not (first.is_vector and each in _VECTOR_BYTES):
        return 0
    alone = sorted(leaf.offset for leaf in kind.leaves) == [each * index for index in range(len(kind.leaves))]
    return len(kind.leaves) if alone and kind.size_bytes == each * len(kind.leaves) else 0


def _whole_words(size_bytes: int) -> int:
    return -(-size_bytes // _WORD) * _WORD
