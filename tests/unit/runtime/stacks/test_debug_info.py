"""IL maps in both forms, with what may stand before them, and random bytes."""

from collections.abc import Sequence
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.stacks.debug_info import EPILOG, NO_MAPPING, PROLOG, BoundsKind, ILBound, ILMap, Patchpoints, ReadBytes, read_il_map

PATCHPOINTS = Patchpoints(32, 8)
BOUNDS = [(0, PROLOG), (5, 0), (12, 7), (20, NO_MAPPING), (31, 300), (90, EPILOG)]


def nibbles(*numbers: int) -> bytes:
    """Numbers in groups of three bits, the highest first, each but the last with a mark."""
    digits: list[int] = []
    for number in numbers:
        groups = [number & 7]
        while number := number >> 3:
            groups.append(number & 7 | 8)
        digits += reversed(groups)
    digits += [0] * (len(digits) % 2)
    return bytes(low | high << 4 for low, high in zip(digits[0::2], digits[1::2], strict=True))


def nibble_bounds(bounds: Sequence[tuple[int, int]]) -> bytes:
    numbers, last = [len(bounds)], 0
    for native, il_offset in bounds:
        numbers += [native - last, il_offset + 3, 1]
        last = native
    return nibbles(*numbers)


def packed_bounds(bounds: Sequence[tuple[int, int]], native_bits: int = 7, il_bits: int = 10) -> bytes:
    packed, last = 0, 0
    for index, (native, il_offset) in enumerate(bounds):
        entry = 1 | (native - last) << 2 | (il_offset + 3) << (2 + native_bits)
        packed |= entry << index * (2 + native_bits + il_bits)
        last = native
    size = -(-len(bounds) * (2 + native_bits + il_bits) // 8)
    return nibbles(len(bounds), native_bits - 1, il_bits - 1) + packed.to_bytes(size, "little")


def reader(data: bytes) -> ReadBytes:
    return lambda offset, size: data[offset : offset + size]


def wanted() -> tuple[ILBound, ...]:
    return tuple(ILBound(native, il_offset) for native, il_offset in BOUNDS)


def test_nibbles() -> None:
    body = nibble_bounds(BOUNDS)
    found = read_il_map(reader(nibbles(len(body), 0) + body), "nibbles", None)
    assert found.bounds == wanted()


def test_packed_bits() -> None:
    body = packed_bounds(BOUNDS)
    assert read_il_map(reader(nibbles(len(body), 0) + body), "packed", None).bounds == wanted()


def test_of_two_maps_the_first_is_that_of_the_code() -> None:
    body = packed_bounds(BOUNDS)
    assert read_il_map(reader(nibbles(0, len(body), 9, 0) + body), "packed", None).bounds == wanted()


@pytest.mark.parametrize(
    "before",
    [b"\0", b"\1" + bytes(8) + pack("<I", 2) + bytes(20) + bytes(8), b"\2" + pack("<I", 5) + b"trees"],
)
def test_tables_before_the_map(before: bytes) -> None:
    body = nibble_bounds(BOUNDS)
    assert read_il_map(reader(before + nibbles(len(body), 0) + body), "nibbles", PATCHPOINTS).bounds == wanted()


def test_a_method_without_a_map() -> None:
    found = read_il_map(reader(nibbles(0, 4)), "nibbles", None)
    assert (found.bounds, found.il_offset(3)) == ((), None)


@pytest.mark.parametrize(
    ("native", "il_offset"), [(0, None), (4, None), (5, 0), (11, 0), (12, 7), (25, 7), (31, 300), (89, 300), (90, None), (-1, None)]
)
def test_offsets(native: int, il_offset: int | None) -> None:
    assert ILMap(wanted()).il_offset(native) == il_offset


@pytest.mark.parametrize(
    ("data", "kind", "flags", "error"),
    [
        (b"\x04", "nibbles", True, Malformed),
        (b"", "nibbles", True, Malformed),
        (b"", "nibbles", False, Malformed),
        (b"\xff" * 40, "nibbles", False, Malformed),
        (nibbles(1 << 30, 0), "nibbles", False, LimitExceeded),
        (nibbles(5, 0) + b"ab", "nibbles", False, Malformed),
        (nibbles(2, 0) + nibbles(60, 0), "nibbles", False, LimitExceeded),
        (nibbles(2, 0) + nibbles(60, 1, 1), "packed", False, LimitExceeded),
        (b"\1" + bytes(8) + b"\xff\xff\xff\x7f", "nibbles", True, LimitExceeded),
    ],
)
def test_what_makes_no_sense_is_refused(data: bytes, kind: BoundsKind, flags: bool, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_il_map(reader(data), kind, PATCHPOINTS if flags else None)


@settings(max_examples=300)
@given(st.binary(max_size=80), st.sampled_from(["nibbles", "packed"]), st.booleans())
def test_any_bytes_end_in_a_map_or_an_error(data: bytes, kind: BoundsKind, flags: bool) -> None:
    with suppress(Unreadable, Malformed):
        assert len(read_il_map(reader(data), kind, PATCHPOINTS if flags else None).bounds) <= 8 * len(data)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(-3, 5000)), max_size=40))
def test_what_was_written_is_read(steps: list[tuple[int, int]]) -> None:
    native, bounds = 0, []
    for step, il_offset in steps:
        native += step
        bounds.append((native, il_offset))
    for kind, body in (("nibbles", nibble_bounds(bounds)), ("packed", packed_bounds(bounds, 8, 13))):
        header = nibbles(len(body), 0) if kind == "nibbles" else nibbles(0, len(body), 0, 0)
        found = read_il_map(reader(header + body), "packed" if kind == "packed" else "nibbles", None)
        assert [(bound.native_offset, bound.il_offset) for bound in found.bounds] == bounds


def test_a_large_map_is_read_in_one_pass() -> None:
    """Twice the largest map known, and one that claims more entries than any."""
    found = read_il_map(reader(packed_map(LIMITS.il_bounds)), "packed", None).bounds
    assert len(found) == LIMITS.il_bounds
    assert found[-1] == ILBound(LIMITS.il_bounds, 0)
    with pytest.raises(LimitExceeded, match="entries"):
        read_il_map(reader(packed_map(LIMITS.il_bounds + 1)), "packed", None)


def packed_map(count: int) -> bytes:
    """Entries of a byte each: the code one byte further on, IL offset 0."""
    data = nibbles(count, 0, 4) + bytes([0b00011100]) * count
    return nibbles(len(data), 0) + data
