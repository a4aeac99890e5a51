"""Counts of an EEClass as .NET up to 8 keeps them: eleven numbers, each as plain u32, or once the class is built, packed by length.

src/coreclr/vm/packedfields.inl: a packed field is 5 bits of length minus one, then so many bits of value, least significant first.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import Malformed

_LENGTH_BITS = 5
_FIELDS = 11


def packed_field(memory: Memory, start: int, index: int, packed: bool) -> int:
    """Number `index` of the numbers at `start`. Raises Unreadable, or Malformed for an index that there is not."""
    if not 0 <= index < _FIELDS:
        raise Malformed(f"a class has no packed field {index}")
    if not packed:
        return memory.u32(start + 4 * index)
    bit = 0
    for _ in range(index):
        bit += _LENGTH_BITS + _bits(memory, start, bit, _LENGTH_BITS) + 1
    length = _bits(memory, start, bit, _LENGTH_BITS) + 1
    return _bits(memory, start, bit + _LENGTH_BITS, length)


def _bits(memory: Memory, start: int, offset: int, count: int) -> int:
    first, end = offset // 8, (offset + count + 7) // 8
    word = int.from_bytes(memory.bytes(start + first, end - first), "little")
    return word >> (offset - 8 * first) & ((1 << count) - 1)
