"""Reads the unwind data of one piece of arm64 code: an .xdata record, or all of it packed into the RUNTIME_FUNCTION itself.

Formats: "ARM64 exception handling" of Microsoft's documentation; what of it is used: src/coreclr/unwinder/arm64/unwinder.cpp,
src/coreclr/jit/unwindarm64.cpp, GetUnwindDataBlob of src/coreclr/vm/codeman.cpp. The same from 3.0 to 10.0.
"""

from dataclasses import dataclass
from struct import unpack

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed
from heaphound.runtime.runtime_functions import PACKED_MASK, WORD_BYTES, packed_words, xdata_words
from heaphound.runtime.stacks.packed_unwind_arm64 import packed_codes
from heaphound.runtime.stacks.unwind_codes_arm64 import END_CHAINED

_FRAGMENT = 2  # of a packed form: neither prologue nor epilogue is in this piece


@dataclass(frozen=True, slots=True)
class UnwindData:
    """One decoded record. Positions count instructions (words of 4 bytes) from where the piece of code begins.

    `epilogs` are (first instruction, index of its first code) in ascending order; `at_end` is that index for the one epilogue that ends
    with the code, None where `epilogs` has them.
    """

    words: int
    codes: bytes
    """Of the whole prologue from its last instruction to its first; then, at the indices named, those of epilogues that differ."""
    epilogs: tuple[tuple[int, int], ...]
    at_end: int | None
    size_bytes: int
    """Up to what follows the record: the GcInfo in ready-to-run images. 0 for a packed form."""

    @property
    def is_fragment(self) -> bool:
        """Whether the piece continues the one before it, whose prologue its codes describe (IsFunctionFragment of codeman.cpp)."""
        return self.codes[:1] == bytes([END_CHAINED])


def read_unwind_data(memory: Memory, image_base: int, unwind_info: int) -> UnwindData:
    """Decode the unwind data that a RUNTIME_FUNCTION names: `unwind_info` is its UnwindData plus `image_base`.

    Raises Unreadable, Malformed.
    """
    unwind_data = unwind_info - image_base
    if unwind_data & PACKED_MASK:
        return _packed(unwind_data)
    (header,) = unpack("<I", memory.bytes(unwind_info, 4))
    words = xdata_words(header)
    code_words, epilogs, position = header >> 27, header >> 22 & 31, 4
    if not code_words and not epilogs:
        (extended,) = unpack("<I", memory.bytes(unwind_info + 4, 4))
        code_words, epilogs, position = extended >> 16 & 0xFF, extended & 0xFFFF, 8
    at_end = epilogs if header >> 21 & 1 else None
    scopes = 0 if at_end is not None else epilogs
    raw = memory.bytes(unwind_info + position, WORD_BYTES * (scopes + code_words))
    places = unpack(f"<{scopes}I", raw[: WORD_BYTES * scopes])
    handler = WORD_BYTES * (header >> 20 & 1)
    return UnwindData(
        words=words,
        codes=raw[WORD_BYTES * scopes :],
        epilogs=tuple((place & 0x3FFFF, place >> 22) for place in places),
        at_end=at_end,
        size_bytes=position + len(raw) + handler,
    )


def _packed(unwind_data: int) -> UnwindData:
    words = packed_words(unwind_data)
    prolog, epilog = packed_codes(unwind_data)
    if unwind_data & PACKED_MASK == _FRAGMENT:
        return UnwindData(words, bytes([END_CHAINED]) + prolog, (), None, 0)
    if epilog == prolog[-len(epilog) :]:
        return UnwindData(words, prolog, (), len(prolog) - len(epilog), 0)
    return UnwindData(words, prolog + epilog, (), len(prolog), 0)


def piece_size(memory: Memory, image_base: int, unwind_info: int) -> int:
    """Bytes of the unwind data of ready-to-run code, behind which its GcInfo lies. Raises Malformed for packed data: nothing follows it."""
    size = read_unwind_data(memory, image_base, unwind_info).size_bytes
    if not size:
        raise Malformed(f"the code with the packed unwind data {unwind_info - image_base:#x} has no place for GcInfo")
    return size
