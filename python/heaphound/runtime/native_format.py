"""Integers, arrays and hash tables of ready-to-run images. Source: src/coreclr/vm/nativeformatreader.h (unchanged from 3.0 to 10.0)."""

from collections.abc import Iterator

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

_BLOCK = 16  # indices of a NativeArray that share one tree


class NativeReader:
    """Reads variable-length integers from the bytes of a section. Offsets are from the section's start; past its end raises Malformed."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def u8(self, offset: int) -> int:
        """The byte at `offset`."""
        if not 0 <= offset < len(self.data):
            raise Malformed(f"offset {offset:#x} lies outside a ready-to-run section of {len(self.data)} bytes")
        return self.data[offset]

    def unsigned(self, offset: int) -> tuple[int, int]:
        """(value, offset behind it): the number of low one-bits of the first byte says how many bytes follow."""
        first = self.u8(offset)
        for extra in range(4):
            if not first >> extra & 1:
                return self._little(offset, extra + 1) >> (extra + 1), offset + extra + 1
        if first & 0x10:
            raise Malformed(f"{first:#x} at offset {offset:#x} of a ready-to-run section starts no integer")
        return self._little(offset + 1, 4), offset + 5

    def signed(self, offset: int) -> tuple[int, int]:
        """As `unsigned`, in two's complement of the bits that there are."""
        value, end = self.unsigned(offset)
        bits = 32 if end - offset == 5 else 7 * (end - offset)
        return (value - (1 << bits) if value >> (bits - 1) else value), end

    def entry(self, base: int, index: int, size_code: int) -> int:
        """Number `index` of a table of u8, u16 or u32 (`size_code` 0, 1, 2)."""
        if size_code > 2:
            raise Malformed(f"a ready-to-run table has entries of size code {size_code}")
        return self._little(base + (index << size_code), 1 << size_code)

    def _little(self, offset: int, size_bytes: int) -> int:
        if not 0 <= offset <= len(self.data) - size_bytes:
            raise Malformed(f"offset {offset:#x} lies outside a ready-to-run section of {len(self.data)} bytes")
        return int.from_bytes(self.data[offset : offset + size_bytes], "little")


def array_elements(reader: NativeReader, offset: int = 0) -> Iterator[tuple[int, int]]:
    """(index, offset of its payload) of every element of a NativeArray, ascending by index. Raises Malformed, LimitExceeded."""
    header, base = reader.unsigned(offset)
    count, size_code = header >> 2, header & 3
    if count > LIMITS.image_methods:
        raise LimitExceeded(f"a ready-to-run array claims {count} elements, more than {LIMITS.image_methods}")
    for first in range(0, count, _BLOCK):
        root = base + reader.entry(base, first // _BLOCK, size_code)
        for within, payload in _leaves(reader, root, 0, _BLOCK >> 1):
            if within < _BLOCK and first + within < count:  # a block without elements has one leaf, behind its last index
                yield first + within, payload


def array_element(reader: NativeReader, index: int) -> int | None:
    """Offset of the payload of one element of a NativeArray that starts the section; None where it has none. Raises Malformed."""
    header, base = reader.unsigned(0)
    if not 0 <= index < header >> 2:
        return None
    root = base + reader.entry(base, index // _BLOCK, header & 3)
    return dict(_leaves(reader, root, 0, _BLOCK >> 1)).get(index % _BLOCK)


def _leaves(reader: NativeReader, offset: int, index: int, bit: int) -> Iterator[tuple[int, int]]:
    """Leaves of one block's binary tree; `bit` halves at each level, so that it is at most four deep."""
    if bit == 0:
        yield index, offset
        return
    value, behind = reader.unsigned(offset)
    if value & 3 == 0:
        yield value >> 2, behind
        return
    if value & 1:
        yield from _leaves(reader, behind, index, bit >> 1)
    if value & 2:
        yield from _leaves(reader, offset + (value >> 2), index | bit, bit >> 1)


def hashtable_entries(reader: NativeReader) -> Iterator[int]:
    """Offset of the payload of every entry of a NativeHashtable. Raises Malformed, LimitExceeded."""
    header = reader.u8(0)
    shift, size_code = header >> 2, header & 3
    if shift > LIMITS.image_hash_bits:
        raise LimitExceeded(f"a ready-to-run hash table claims 2^{shift} buckets")
    base = 1
    for bucket in range(1 << shift):
        offset = base + reader.entry(base, bucket, size_code)
        end = base + reader.entry(base, bucket + 1, size_code)
        while offset < end:
            relative, behind = reader.signed(offset + 1)
            yield offset + 1 + relative
            offset = behind


def entry_point(reader: NativeReader, offset: int) -> int:
    """Index of the method's first RUNTIME_FUNCTION out of the payload of an entry point (a fixup list may stand behind it)."""
    value, _ = reader.unsigned(offset)
    return value >> 2 if value & 1 else value >> 1
