"""A bounds-checked reader over bytes of the file: every read says where in the file it failed."""

from __future__ import annotations

from struct import Struct

from heaphound.errors import LimitExceeded, Malformed

_U16, _U32, _I32, _U64 = Struct("<H"), Struct("<I"), Struct("<i"), Struct("<Q")


class Cursor:
    """A position in `data`; `base` is the offset of `data` in the file and only serves the error messages."""

    __slots__ = ("base", "data", "position", "what")

    def __init__(self, data: bytes, *, what: str, base: int = 0, position: int = 0) -> None:
        self.data = data
        self.base = base
        self.position = position
        self.what = what

    @property
    def remaining(self) -> int:
        """Bytes from the position to the end."""
        return len(self.data) - self.position

    def take(self, size_bytes: int) -> bytes:
        """The next `size_bytes`. Raises `Malformed` when fewer are left."""
        if size_bytes < 0 or size_bytes > self.remaining:
            raise self.malformed(f"{size_bytes} bytes are needed and {max(self.remaining, 0)} are left")
        start = self.position
        self.position = start + size_bytes
        return self.data[start : self.position]

    def skip(self, size_bytes: int) -> None:
        """Pass over `size_bytes`; raises as `take` does."""
        self.take(size_bytes)

    def align(self, alignment: int) -> None:
        """Move up to the next multiple of `alignment`; stops at the end, as writers leave out the last padding."""
        self.position = min(-(-self.position // alignment) * alignment, len(self.data))

    def u16(self) -> int:
        """The next unsigned 16-bit integer."""
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        """The next unsigned 32-bit integer."""
        return int(_U32.unpack(self.take(4))[0])

    def i32(self) -> int:
        """The next signed 32-bit integer."""
        return int(_I32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """The next unsigned 64-bit integer."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self, maximum: int) -> str:
        """The next zero-terminated text, at most `maximum` bytes; raises when no zero follows or it is longer."""
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise self.malformed("text without an end")
        if end - self.position > maximum:
            place = f"{self.what} at file offset {self.base + self.position:#x}"
            raise LimitExceeded(f"{place}: text of {end - self.position} bytes, at most {maximum}")
        piece = self.take(end - self.position)
        self.position += 1
        return piece.decode("utf-8", "surrogateescape")

    def malformed(self, why: str) -> Malformed:
        """The error to raise for the current position."""
        return Malformed(f"{self.what} at file offset {self.base + self.position:#x}: {why}")
