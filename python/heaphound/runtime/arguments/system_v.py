"""System V calling convention of x64, as the runtime's own code uses it on Unix.

Source: ArgIterator for UNIX_AMD64_ABI of src/coreclr/vm/callingconvention.h, MethodTable::ClassifyEightBytesWithManagedLayout of
methodtable.cpp, v3.1 to v10.0: six general and eight floating-point registers; a struct of up to 16 bytes goes into registers whole, by its
eightbytes, or onto the stack whole; a struct that is returned otherwise than in registers has its buffer passed first, behind `this`.
"""

from heaphound.runtime.arguments.leaves import Leaf
from heaphound.runtime.arguments.places import ArgumentKind, Piece
from heaphound.runtime.element_types import ElementType

_REGISTERS, _FLOAT_REGISTERS = 6, 8
_WORD = 8
_LARGEST_IN_REGISTERS = 16
_FLOATS = (ElementType.R4, ElementType.R8)


class SystemVArguments:
    """Hands out places, argument by argument. Offsets of places are from the TransitionBlock's start.

    `registers` is where the argument registers lie in it, `stack` where the stack arguments begin: behind it.
    """

    def __init__(self, registers: int, stack: int) -> None:
        self._registers = registers
        self._stack = stack
        self._used = 0
        self._floats_used = 0

    def hidden(self) -> int:
        """The place of a hidden argument (`this`, return buffer, generic context), which always is in a register."""
        self._used += 1
        return self._registers + _WORD * (self._used - 1)

    def result_buffer(self, kind: ArgumentKind) -> int | None:
        """The place of the address of a buffer that the caller passes for the result: a hidden argument. None where it needs none."""
        return self.hidden() if kind.is_struct and eightbytes(kind) is None else None

    def place(self, kind: ArgumentKind) -> tuple[Piece, ...]:
        """Where the parts of the next argument lie; parts in floating-point registers, which hold no references, are left out."""
        if not kind.is_struct and kind.element_type in _FLOATS and self._floats_used < _FLOAT_REGISTERS:
            self._floats_used += 1
            return ()
        classes = eightbytes(kind) if kind.is_struct else None
        if classes is not None:
            general = classes.count("integer")
            floats = len(classes) - general
            if self._used + general <= _REGISTERS and self._floats_used + floats <= _FLOAT_REGISTERS:
                return self._split(classes)
        words = -(-kind.size_bytes // _WORD)
        if not kind.is_struct and kind.element_type not in _FLOATS and self._used + words <= _REGISTERS:
            self._used += words
            return (Piece(self._registers + _WORD * (self._used - words), 0, _WORD * words),)
        self._stack += _WORD * words
        return (Piece(self._stack - _WORD * words, 0, _WORD * words),)

    def _split(self, classes: tuple[str, ...]) -> tuple[Piece, ...]:
        pieces = []
        for index, kind in enumerate(classes):
            if kind == "integer":
                pieces.append(Piece(self._registers + _WORD * self._used, _WORD * index, _WORD))
                self._used += 1
            else:
                self._floats_used += 1
        return tuple(pieces)


def eightbytes(kind: ArgumentKind) -> tuple[str, ...] | None:
    """`integer` or `float` for each eight bytes of a struct that goes into registers; None for one that goes through memory."""
    if not kind.leaves or kind.size_bytes > _LARGEST_IN_REGISTERS or any(leaf.is_vector for leaf in kind.leaves):
        return None
    if any(leaf.offset % leaf.size_bytes for leaf in kind.leaves):
        return None
    count = -(-kind.size_bytes // _WORD)
    return tuple("float" if _all_floats(kind.leaves, index) else "integer" for index in range(count))


def _all_floats(leaves: tuple[Leaf, ...], index: int) -> bool:
    own = [leaf for leaf in leaves if leaf.offset // _WORD == index]
    return bool(own) and all(leaf.element_type in _FLOATS for leaf in own)
