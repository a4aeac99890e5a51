"""Typed reads of the dumped process's memory. A read gives what the dump holds or raises; there is no stand-in value."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack
from typing import TYPE_CHECKING, TypeVar

from heaphound.errors import LimitExceeded, Malformed, Unreadable

if TYPE_CHECKING:
    from heaphound._core import Image

_T = TypeVar("_T")
_ADDRESS_SPACE = 1 << 64


class Memory:
    """Reads by address, little-endian. Every method raises `Unreadable` when any byte asked for is not in the dump.

    An address outside 0..2^64 (arithmetic on a hostile value) is `Unreadable` too.
    """

    __slots__ = ("_i32", "_read", "_u8", "_u16", "_u32", "_u64", "image")

    def __init__(self, image: Image) -> None:
        self.image = image
        self._read = image.read
        self._u8: Callable[[int], int] = image.u8
        self._u16: Callable[[int], int] = image.u16
        self._u32: Callable[[int], int] = image.u32
        self._u64: Callable[[int], int] = image.u64
        self._i32: Callable[[int], int] = image.i32

    def u8(self, address: int) -> int:
        """The unsigned byte at `address`."""
        try:
            return self._u8(address)
        except OverflowError:
            raise _outside(address, 1) from None

    def u16(self, address: int) -> int:
        """The unsigned 16-bit integer at `address`."""
        try:
            return self._u16(address)
        except OverflowError:
            raise _outside(address, 2) from None

    def u32(self, address: int) -> int:
        """The unsigned 32-bit integer at `address`."""
        try:
            return self._u32(address)
        except OverflowError:
            raise _outside(address, 4) from None

    def u64(self, address: int) -> int:
        """The unsigned 64-bit integer at `address`."""
        try:
            return self._u64(address)
        except OverflowError:
            raise _outside(address, 8) from None

    def pointer(self, address: int) -> int:
        """The pointer at `address`: 64 bits on both machines that are read."""
        return self.u64(address)

    def i32(self, address: int) -> int:
        """The signed 32-bit integer at `address`."""
        try:
            return self._i32(address)
        except OverflowError:
            raise _outside(address, 4) from None

    def i64(self, address: int) -> int:
        """The signed 64-bit integer at `address`."""
        value = self.u64(address)
        return value - _ADDRESS_SPACE if value >> 63 else value

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """`count` unsigned 64-bit integers from `address` on, in one read."""
        return unpack(f"<{count}Q", self.bytes(address, 8 * count))

    def readable(self, address: int, size_bytes: int) -> bool:
        """Whether the dump holds all `size_bytes` from `address` on."""
        return self.readable_bytes(address, size_bytes) >= size_bytes

    def readable_bytes(self, address: int, limit: int) -> int:
        """How many bytes from `address` on the dump holds without a break, at most `limit`; 0 outside of the address space."""
        return self.image.readable_bytes(address, limit) if 0 <= address < _ADDRESS_SPACE else 0

    def optional(self, read: Callable[[int], _T], address: int) -> _T | None:
        """`read(address)`, or None where the dump lacks the bytes; for callers to whom absence is an answer."""
        try:
            return read(address)
        except Unreadable:
            return None

    def cstring(self, address: int, maximum: int = 4096) -> str:
        """The zero-terminated UTF-8 text at `address`, at most `maximum` bytes without the zero.

        Bytes that are no UTF-8 come back as surrogate escapes, as Python does for file names. Raises `LimitExceeded`
        when no zero is found in `maximum` bytes, `Unreadable` when the dump ends before it.
        """
        if not 0 <= address < _ADDRESS_SPACE:
            raise _outside(address, 1)
        text = b""
        while len(text) <= maximum:
            step = min(64 if not text else 1024, maximum + 1 - len(text))
            present = self.readable_bytes(address + len(text), step)
            piece = self.bytes(address + len(text), present) if present else b""
            end = piece.find(b"\0")
            if end >= 0:
                return (text + piece[:end]).decode("utf-8", "surrogateescape")
            if present < step:
                raise Unreadable(address + len(text) + present, 1)
            text += piece
        raise LimitExceeded(f"text at {address:#x} has no end within {maximum} bytes")

    def utf16(self, address: int, characters: int) -> str:
        """`characters` UTF-16 code units from `address` on; a lone surrogate stays one in the result."""
        return self.bytes(address, 2 * characters).decode("utf-16-le", "surrogatepass")

    def bytes(self, address: int, size_bytes: int) -> bytes:
        """`size_bytes` raw bytes from `address` on. Raises `Malformed` for a negative size."""
        if size_bytes < 0:
            raise Malformed(f"{size_bytes} bytes were asked for at {address:#x}")
        try:
            return self._read(address, size_bytes)
        except OverflowError:
            raise _outside(address, size_bytes) from None


def _outside(address: int, size_bytes: int) -> Unreadable:
    return Unreadable(address, size_bytes, "outside the 64-bit address space")
