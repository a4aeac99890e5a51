"""How long a piece of code is by its RUNTIME_FUNCTION: x64 names the end, on arm64 the unwind data tells it.

Sources: src/coreclr/inc/clrnt.h (RUNTIME_FUNCTION__EndAddress), "ARM64 exception handling" of Microsoft's documentation.
"""

from collections.abc import Callable

from heaphound.errors import Malformed

FUNCTION_BYTES = {"x64": 12, "arm64": 8}  # begin, end and unwind RVA; begin and unwind data
PACKED_MASK = 3  # of unwind data of arm64: 0 the RVA of an .xdata record, 1 and 2 packed forms
WORD_BYTES = 4  # of an instruction, and of the units in which the formats count
_CHAINED = 3
_VERSION_SHIFT = 18


def piece_bytes(unwind_data: int, read: Callable[[int, int], bytes]) -> int:
    """Length of an arm64 piece of code. `read` gives bytes at (RVA, size). Raises Malformed, and what `read` raises."""
    if unwind_data & PACKED_MASK:
        return WORD_BYTES * packed_words(unwind_data)
    return WORD_BYTES * xdata_words(int.from_bytes(read(unwind_data, 4), "little"))


def packed_words(unwind_data: int) -> int:
    """Instructions of a piece of code whose unwind data is packed. Raises Malformed for the form that refers to another entry."""
    if unwind_data & PACKED_MASK == _CHAINED:
        raise Malformed(f"the unwind data {unwind_data:#x} refers to another function's, which .NET does not write")
    return unwind_data >> 2 & 0x7FF


def xdata_words(header: int) -> int:
    """Instructions of a piece of code by the first word of its .xdata record. Raises Malformed for a version that does not exist."""
    if header >> _VERSION_SHIFT & 3:
        raise Malformed(f"an unwind record of arm64 has the version {header >> _VERSION_SHIFT & 3}, not 0")
    return header & 0x3FFFF
