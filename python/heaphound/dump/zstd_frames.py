"""The frames of a zstd file, walked by their headers: whether the file is whole, and how much it unpacks to.

The decompressing stream of the zstandard package ends silently where the input ends, whole or not, so the question is
settled before the first byte is unpacked. Format: RFC 8878, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

_MAGIC, _SKIPPABLE_LOW, _SKIPPABLE_HIGH = 0xFD2FB528, 0x184D2A50, 0x184D2A5F
_DICTIONARY_BYTES = (0, 1, 2, 4)
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3


class NotZstd(Exception):
    """The bytes at `offset` are no zstd frame or block."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ZstdFrames:
    """`complete`: every frame ends inside the file. `content_bytes`: unpacked size, None where a frame does not say."""

    complete: bool
    content_bytes: int | None


def walk_frames(file: BinaryIO, size_bytes: int) -> ZstdFrames:
    """Walk `file` of `size_bytes` from its start: one small read a block (128 KiB of content). Raises `NotZstd`."""
    position, content = 0, 0
    known = True
    while position < size_bytes:
        magic = _number(file, position, 4)
        if magic is None:
            return ZstdFrames(False, None)
        if _SKIPPABLE_LOW <= magic <= _SKIPPABLE_HIGH:
            length = _number(file, position + 4, 4)
            if length is None:
                return ZstdFrames(False, None)
            position += 8 + length
            continue
        if magic != _MAGIC:
            raise NotZstd(position)
        header = _frame_header(file, position + 4)
        if header is None:
            return ZstdFrames(False, None)
        position, has_checksum, frame_content = header
        after = _skip_blocks(file, position)
        if after is None:
            return ZstdFrames(False, None)
        position = after + 4 * has_checksum
        known = known and frame_content is not None
        content += frame_content or 0
    return ZstdFrames(position == size_bytes, content if known else None)


def _frame_header(file: BinaryIO, position: int) -> tuple[int, bool, int | None] | None:
    """Position of the first block, whether a checksum ends the frame, content size; None past the end of the file."""
    descriptor = _number(file, position, 1)
    if descriptor is None:
        return None
    single_segment = bool(descriptor & 0x20)
    size_flag = descriptor >> 6
    position += 1 + (not single_segment) + _DICTIONARY_BYTES[descriptor & 3]
    size_bytes = (1 if single_segment else 0, 2, 4, 8)[size_flag]
    content = None
    if size_bytes:
        content = _number(file, position, size_bytes)
        if content is None:
            return None
        content += 256 if size_bytes == 2 else 0
    return position + size_bytes, bool(descriptor & 4), content


def _skip_blocks(file: BinaryIO, position: int) -> int | None:
    """The position after the frame's last block; None past the end of the file."""
    while True:
        header = _number(file, position, 3)
        if header is None:
            return None
        kind, size = header >> 1 & 3, header >> 3
        if kind == _RESERVED_BLOCK:
            raise NotZstd(position)
        position += 3 + (1 if kind == _RLE_BLOCK else size)
        if header & 1:
            return position


def _number(file: BinaryIO, position: int, size_bytes: int) -> int | None:
    file.seek(position)
    data = file.read(size_bytes)
    return int.from_bytes(data, "little") if len(data) == size_bytes else None
