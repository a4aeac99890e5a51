"""Writes GC reference maps, as crossgen does (GCRefMapBuilder of src/coreclr/inc/gcrefmap.h), but with nothing shortened."""

from collections.abc import Sequence


def encode_map(entries: Sequence[tuple[int, int]]) -> bytes:
    """(position, token) pairs, ascending by position."""
    bits: list[int] = []
    position = 0

    def put(value: int, count: int) -> None:
        bits.extend(value >> index & 1 for index in range(count))

    def number(value: int) -> None:
        while True:
            put(value & 7, 3)
            value >>= 3
            put(int(value != 0), 1)
            if not value:
                return

    for at, token in entries:
        skipped = at - position
        if skipped >= 4:
            put(3, 2)
            number((skipped - 4) << 1)
        else:
            for _ in range(skipped):
                put(0, 2)
        if token < 3:
            put(token, 2)
        else:
            put(3, 2)
            number((token - 3) << 1 | 1)
        position = at + 1
    bits += [0] * (-len(bits) % 7)
    pieces = [sum(bit << index for index, bit in enumerate(bits[start : start + 7])) for start in range(0, len(bits), 7)] or [0]
    return bytes([*(piece | 0x80 for piece in pieces[:-1]), pieces[-1]])
