"""Reads GcInfo bit by bit, lowest bit of each byte first (BitStreamReader of src/coreclr/inc/gcinfodecoder.h)."""

from collections.abc import Callable

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

Source = Callable[[int, int], bytes]
"""(offset, size) to the bytes there; fewer than asked for where the dump ends, Unreadable where it holds none."""

_PIECE = 256
_MAXIMUM_BITS = 64


class BitReader:
    """A position in a stream of bits whose length nothing tells: bytes are fetched as they are needed, up to a bound."""

    __slots__ = ("_data", "_source", "position")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = b""
        self.position = 0

    def at(self, position: int) -> "BitReader":
        """A second reader over the same bytes, at another position."""
        other = BitReader(self._source)
        other._data, other.position = self._data, position
        return other

    def read(self, bits: int) -> int:
        """The next bits as a number. Raises Malformed for more than 64, Unreadable where the dump ends, LimitExceeded far behind."""
        if bits > _MAXIMUM_BITS:
            raise Malformed(f"GcInfo has a number of {bits} bits")
        return self.table(bits)

    def table(self, bits: int) -> int:
        """The same of any number of bits: a table as one number, its first entry lowest."""
        start, end = self.position, self.position + bits
        if end > len(self._data) * 8:
            self._fetch(end)
        self.position = end
        return (int.from_bytes(self._data[start >> 3 : (end + 7) >> 3], "little") >> (start & 7)) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.read(1) != 0

    def skip(self, bits: int) -> None:
        """Move on without reading."""
        self.position += bits

    def unsigned(self, base: int) -> int:
        """A variable-length number: chunks of `base` bits, lowest first, each followed by whether another follows."""
        value, _ = self._chunks(base)
        return value

    def signed(self, base: int) -> int:
        """The same in two's complement."""
        value, bits = self._chunks(base)
        return value - (1 << bits) if value >> (bits - 1) else value

    def _chunks(self, base: int) -> tuple[int, int]:
        value = bits = 0
        more = 1 << base
        while True:
            chunk = self.read(base + 1)
            value |= (chunk & (more - 1)) << bits
            bits += base
            if not chunk & more:
                return value, bits
            if bits >= _MAXIMUM_BITS:
                raise Malformed("GcInfo has a number of more than 64 bits")

    def _fetch(self, bits: int) -> None:
        needed = (bits + 7) >> 3
        if needed > LIMITS.gc_info_bytes:
            raise LimitExceeded(f"GcInfo of one method reaches over {needed} bytes, more than {LIMITS.gc_info_bytes}")
        while len(self._data) < needed:
            have = len(self._data)
            self._data += self._source(have, max(_PIECE, have, needed - have))
            if len(self._data) == have:
                raise Malformed(f"GcInfo ends after {have} bytes")
