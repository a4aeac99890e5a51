"""Integers, arrays and hash tables of ready-to-run images, written by the test in the format's own terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import LimitExceeded, Malformed
from heaphound.runtime.native_format import NativeReader, array_elements, entry_point, hashtable_entries


def unsigned(value: int) -> bytes:
    """The shortest form of an integer."""
    for extra in range(4):
        if value < 1 << 7 * (extra + 1):
            return (value << (extra + 1) | ((1 << extra) - 1)).to_bytes(extra + 1, "little")
    return b"\x0f" + value.to_bytes(4, "little")


@given(st.integers(0, 2**32 - 1))
def test_unsigned(value: int) -> None:
    data = unsigned(value)
    assert NativeReader(data).unsigned(0) == (value, len(data))


@pytest.mark.parametrize(("data", "value"), [(b"\x00", 0), (b"\xfe", -1), (b"\x80", -64), (b"\x7e", 63), (b"\x01\x80", -8192)])
def test_signed(data: bytes, value: int) -> None:
    assert NativeReader(data).signed(0)[0] == value


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x1f\0\0\0\0", b"\x0f\0\0"])
def test_cut_short_or_no_integer(data: bytes) -> None:
    with pytest.raises(Malformed):
        NativeReader(data).unsigned(0)


def tree(elements: dict[int, bytes], bit: int = 8) -> bytes:
    """One block of a NativeArray: leaves that stand alone carry their index, inner nodes say which halves they have."""
    if bit == 0:
        return next(iter(elements.values()))
    if len(elements) == 1:
        ((index, payload),) = elements.items()
        return unsigned(index << 2) + payload
    low = {index: payload for index, payload in elements.items() if not index & bit}
    high = {index: payload for index, payload in elements.items() if index & bit}
    left = tree(low, bit >> 1) if low else b""
    right = tree(high, bit >> 1) if high else b""
    flags = (1 if low else 0) | (2 if high else 0)
    header = unsigned(flags)
    while True:  # the header's own length is part of the distance to the right half
        distance = len(header) + len(left) if high else 0
        again = unsigned(distance << 2 | flags)
        if len(again) == len(header):
            return again + left + right
        header = again


def array(elements: dict[int, bytes]) -> bytes:
    count = max(elements, default=-1) + 1
    blocks = []
    for first in range(0, count, 16):
        inside = {index - first: payload for index, payload in elements.items() if first <= index < first + 16}
        blocks.append(tree(inside) if inside else unsigned(16 << 2))
    offsets, at = b"", 2 * len(blocks)
    for block in blocks:
        offsets += at.to_bytes(2, "little")
        at += len(block)
    return unsigned(count << 2 | 1) + offsets + b"".join(blocks)


@given(st.dictionaries(st.integers(0, 200), st.integers(0, 2**20).map(lambda value: unsigned(value << 1)), min_size=1))
def test_array(elements: dict[int, bytes]) -> None:
    reader = NativeReader(array(elements))
    found = {index: entry_point(reader, payload) for index, payload in array_elements(reader)}
    wanted = {index: NativeReader(payload).unsigned(0)[0] >> 1 for index, payload in elements.items()}
    assert {index: value for index, value in found.items() if index in wanted} == wanted
    assert set(found) == set(wanted)


def test_a_hash_table_with_two_buckets() -> None:
    payloads = [unsigned(10 << 1), unsigned(20 << 1), unsigned(30 << 1)]
    table = bytearray([1 << 2 | 0])  # two buckets, u8 offsets
    table += bytes([3, 3 + 4, 3 + 6])  # bucket 0 has two entries of two bytes, bucket 1 one
    places = [13 + offset for offset in (0, 1, 2)]
    for number, place in enumerate(places):
        at = len(table) + 1
        table += bytes([0xAA, (place - at) << 1])
        assert number < 3
    table += bytes(13 - len(table)) + b"".join(payloads)
    reader = NativeReader(bytes(table))
    assert [entry_point(reader, payload) for payload in hashtable_entries(reader)] == [10, 20, 30]


def test_an_entry_point_with_fixups() -> None:
    assert entry_point(NativeReader(unsigned(77 << 2 | 1)), 0) == 77


def test_absurd_counts_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        list(array_elements(NativeReader(unsigned(1 << 30))))
    with pytest.raises(LimitExceeded):
        list(hashtable_entries(NativeReader(bytes([31 << 2]))))
