"""Bytes changed as a broken process, or an attacker, leaves them: bits, bytes, words, runs of ones, a cut, a splice with another table."""

import random

_NEAR = 20  # the mean place of a change: headers are short and decide the most
_ODD_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
_ODD_WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_TAIL_BYTES = 1 << 16
_CUTS, _SPLICES, _TAILS = 0.15, 0.15, 0.1


def broken(chance: random.Random, data: bytes, other: bytes) -> bytes:
    """The bytes changed in one to ten places; at times cut short, continued by a part of `other`, or by more bytes than any table has."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 10)) if data else 0):
        _change(chance, changed)
    if chance.random() < _SPLICES:
        changed[_place(chance, len(changed)) :] = other[_place(chance, len(other)) :]
    if chance.random() < _TAILS:
        tail = chance.choice((bytes(_TAIL_BYTES), b"\xff" * _TAIL_BYTES, chance.randbytes(_TAIL_BYTES)))
        changed[_place(chance, len(changed)) :] = tail
    if chance.random() < _CUTS:
        del changed[_place(chance, len(changed)) :]
    return bytes(changed)


def _change(chance: random.Random, data: bytearray) -> None:
    at, size = _place(chance, len(data)), chance.choice((0, 0, 1, 1, 2, 4, 8, 8))
    if not size:
        data[at] ^= 1 << chance.randrange(8)
        return
    if size == 8 and chance.random() < 0.5:  # makes a number of variable length long
        ones = (1 << chance.randrange(4, 40)) - 1 << chance.randrange(8)
        mixed = int.from_bytes(data[at : at + size], "little") | ones
        data[at : at + size] = mixed.to_bytes(size, "little")[: len(data) - at]
        return
    value = chance.choice((chance.choice(_ODD_BYTES if size == 1 else _ODD_WORDS), chance.getrandbits(8 * size)))
    word = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    data[at : at + size] = word[: len(data) - at]


def _place(chance: random.Random, size: int) -> int:
    """An offset among `size` bytes, near the start; 0 where there are none."""
    near = int(chance.expovariate(1 / _NEAR)) if chance.random() < 0.7 else chance.randrange(size or 1)
    return max(0, min(size - 1, near))
