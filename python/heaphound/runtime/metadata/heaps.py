"""The four heaps of a metadata blob and the variable-length integers in them (ECMA-335 II.23.2, II.24.2.3-5)."""

from typing import NamedTuple
from uuid import UUID

from heaphound.errors import Malformed


def compressed_unsigned(data: bytes, offset: int) -> tuple[int, int]:
    """A compressed unsigned integer at `offset`: (value, offset after it). Raises Malformed past the end or on a bad first byte."""
    if offset < 0 or offset >= len(data):
        raise Malformed(f"compressed integer at {offset:#x} is outside {len(data)} bytes")
    first = data[offset]
    if first < 0x80:
        return first, offset + 1
    width = 2 if first < 0xC0 else 4
    if first >= 0xE0 or offset + width > len(data):
        raise Malformed(f"compressed integer at {offset:#x} starts with {first:#x}")
    mask = 0x3FFF if width == 2 else 0x1FFFFFFF
    return int.from_bytes(data[offset : offset + width], "big") & mask, offset + width


def compressed_signed(data: bytes, offset: int) -> tuple[int, int]:
    """A compressed signed integer (sign in the lowest bit after rotation): (value, offset after it). Raises Malformed."""
    value, end = compressed_unsigned(data, offset)
    half = value >> 1
    if value & 1:
        half -= {1: 0x40, 2: 0x2000, 4: 0x10000000}[end - offset]
    return half, end


class Span(NamedTuple):
    """Where a stream lies in the blob."""

    start: int
    size_bytes: int


class StringHeap:
    """#Strings: zero-terminated UTF-8, cached by index."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._data = data
        self._start = span.start
        self._end = span.start + span.size_bytes
        self._known: dict[int, str] = {0: ""}

    def __getitem__(self, index: int) -> str:
        """The string at `index`. Raises Malformed outside the heap or without its terminator; bad UTF-8 becomes replacement characters."""
        text = self._known.get(index)
        if text is None:
            start = self._start + index
            end = self._data.find(b"\0", start, self._end) if start < self._end else -1
            if end < 0:
                raise Malformed(f"string index {index:#x} is outside the #Strings heap of {self._end - self._start} bytes")
            text = self._known[index] = self._data[start:end].decode("utf-8", "replace")
        return text


class BlobHeap:
    """#Blob (and #US): blobs with a compressed length in front."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._data = data
        self._start = span.start
        self._end = span.start + span.size_bytes

    def __getitem__(self, index: int) -> bytes:
        """The blob at `index`, empty for index 0 as the format says. Raises Malformed outside the heap."""
        if index == 0:
            return b""
        start = self._start + index
        if index < 0 or start >= self._end:
            raise Malformed(f"blob index {index:#x} is outside the heap of {self._end - self._start} bytes")
        size, begin = compressed_unsigned(self._data, start)
        if begin + size > self._end:
            raise Malformed(f"blob at {index:#x} of {size} bytes passes the end of its heap")
        return self._data[begin : begin + size]


class GuidHeap:
    """#GUID: 16-byte values with 1-based index."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._data = data
        self._span = span

    def __getitem__(self, index: int) -> UUID | None:
        """The GUID at 1-based `index`; None for the null index 0. Raises Malformed outside the heap."""
        if index == 0:
            return None
        offset = (index - 1) * 16
        if index < 0 or offset + 16 > self._span.size_bytes:
            raise Malformed(f"GUID index {index} is outside the heap of {self._span.size_bytes} bytes")
        start = self._span.start + offset
        return UUID(bytes_le=self._data[start : start + 16])


class UserStringHeap:
    """#US: the literals of `ldstr`."""

    def __init__(self, data: bytes, span: Span) -> None:
        self._blobs = BlobHeap(data, span)

    def __getitem__(self, index: int) -> str:
        """The literal at `index` (low 24 bits of an ldstr token). Raises Malformed outside the heap."""
        blob = self._blobs[index]
        return blob[: len(blob) & ~1].decode("utf-16-le", "replace")
