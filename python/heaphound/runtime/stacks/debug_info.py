"""From native offsets of a method to IL offsets: the map that the JIT stored with the code, beside where its variables are.

Formats: src/coreclr/vm/debuginfostore.cpp and vm/nibblestream.h (numbers in groups of 3 bits, the highest first); bounds in packed bits
since 10.0: docs/design/datacontracts/DebugInfo.md. The same in ready-to-run images, but for the byte of flags before it.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

BoundsKind = Literal["nibbles", "packed"]
ReadBytes = Callable[[int, int], bytes]  # (offset, size): at most that many bytes from an offset of the debug information on

NO_MAPPING, PROLOG, EPILOG = -1, -2, -3  # ICorDebugInfo::MappingTypes
_BIAS = -3
_MASK = 0xFFFFFFFF
_HEADER_BYTES = 33  # the longest: six numbers of eleven nibbles
_SOURCE_BITS = 2
_HAS_PATCHPOINTS, _HAS_RICH = 1, 2
_LOCAL_BYTES = 4


@dataclass(frozen=True, slots=True)
class Patchpoints:
    """The table for on-stack replacement before a JIT method's map (PatchpointInfo, src/coreclr/inc/patchpointinfo.h): its size without
    locals, and where the number of locals is."""

    size_bytes: int
    locals_offset: int


@dataclass(frozen=True, slots=True)
class ILBound:
    """Code from `native_offset` on belongs to `il_offset`, up to the next bound; -1, -2, -3: no mapping, prologue, epilogue."""

    native_offset: int
    il_offset: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where the two tables of one method lie, in bytes from the start of its debug information."""

    bounds_start: int
    bounds_bytes: int
    variables_start: int
    variables_bytes: int


class ILMap:
    """The bounds of one method, ascending by native offset."""

    def __init__(self, bounds: tuple[ILBound, ...]) -> None:
        self.bounds = bounds
        self._starts = [bound.native_offset for bound in bounds]

    def il_offset(self, native_offset: int) -> int | None:
        """IL offset of the instruction at a native offset, for a return address that of its call: ask with one less.

        Code that maps to no IL takes the nearest mapped code before it; None where there is none, as in the prologue.
        """
        index = bisect_right(self._starts, native_offset) - 1
        while index >= 0 and self.bounds[index].il_offset == NO_MAPPING:
            index -= 1
        if index < 0 or self.bounds[index].il_offset < 0:
            return None
        return self.bounds[index].il_offset


class Nibbles:
    """Reads numbers of debug information, four bits at a time, the low half of a byte first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._nibble = 0

    def number(self) -> int:
        """The next number: groups of three bits, each with a mark that another follows."""
        value = 0
        for _ in range(11):
            byte = self._nibble >> 1
            if byte >= len(self._data):
                raise Malformed("debug information is cut short")
            nibble = self._data[byte] >> (4 * (self._nibble & 1)) & 15
            self._nibble += 1
            value = value << 3 | nibble & 7
            if nibble < 8:
                return value & _MASK
        raise Malformed("a number of debug information has more than 32 bits")

    @property
    def next_byte(self) -> int:
        """Offset of the first byte that no number so far has begun."""
        return (self._nibble + 1) >> 1


def read_il_map(read: ReadBytes, kind: BoundsKind, patchpoints: Patchpoints | None) -> ILMap:
    """The map of one method. JIT code has a byte of flags first and then perhaps `patchpoints`; None for ready-to-run code, without.

    Raises Unreadable, Malformed.
    """
    parts = _parts(read, kind, patchpoints)
    if parts.bounds_bytes == 0:
        return ILMap(())
    data = _piece(read, parts.bounds_start, parts.bounds_bytes)
    return ILMap(_nibble_bounds(data) if kind == "nibbles" else _packed_bounds(data))


def read_variables_data(read: ReadBytes, kind: BoundsKind, patchpoints: Patchpoints | None) -> bytes:
    """The encoded table of variables that follows the map; empty where there is none. Raises as `read_il_map`."""
    parts = _parts(read, kind, patchpoints)
    return _piece(read, parts.variables_start, parts.variables_bytes) if parts.variables_bytes else b""


def _parts(read: ReadBytes, kind: BoundsKind, patchpoints: Patchpoints | None) -> _Parts:
    at = 0 if patchpoints is None else _skip_extras(read, patchpoints)
    header = Nibbles(read(at, _HEADER_BYTES))
    size = header.number()
    skipped = 0
    if size == 0 and kind == "packed":  # then there are two maps: of the code as it is, and as it would be without instrumentation
        size = header.number()
        skipped = header.number()
    variables = header.number()
    if max(size, skipped, variables) > LIMITS.debug_info_bytes:
        raise LimitExceeded(f"a method claims {size} bytes of IL map and {variables} bytes about variables")
    start = at + header.next_byte
    return _Parts(start, size, start + size + skipped, variables)


def _piece(read: ReadBytes, start: int, size: int) -> bytes:
    data = read(start, size)
    if len(data) < size:
        raise Malformed("the debug information of a method is cut short")
    return data


def _skip_extras(read: ReadBytes, patchpoints: Patchpoints) -> int:
    """Bytes of flags, of the table for on-stack replacement and of the table of inlined code, all before the header."""
    flags = read(0, 1)
    if not flags or flags[0] & ~(_HAS_PATCHPOINTS | _HAS_RICH):
        raise Malformed("debug information begins with flags that are not known")
    at = 1
    if flags[0] & _HAS_PATCHPOINTS:
        at += patchpoints.size_bytes + _LOCAL_BYTES * _u32(read(at + patchpoints.locals_offset, 4))
    if flags[0] & _HAS_RICH:
        at += 4 + _u32(read(at, 4))
    if at > LIMITS.debug_info_bytes:
        raise LimitExceeded(f"a method claims {at} bytes of tables before its IL map")
    return at


def _u32(data: bytes) -> int:
    if len(data) != 4:
        raise Malformed("debug information is cut short")
    return int.from_bytes(data, "little")


def _il_offset(value: int) -> int:
    """An IL offset as stored: 3 more, so that the three marks are 0, 1 and 2."""
    return ((value + _BIAS) & _MASK) - (1 << 32) if value + _BIAS < 0 else value + _BIAS


def _nibble_bounds(data: bytes) -> tuple[ILBound, ...]:
    numbers = Nibbles(data)
    count = numbers.number()
    if count > min(2 * len(data), LIMITS.il_bounds):
        raise LimitExceeded(f"{len(data)} bytes of IL map claim {count} entries")
    bounds: list[ILBound] = []
    native = 0
    for _ in range(count):
        native += numbers.number()
        bounds.append(ILBound(native, _il_offset(numbers.number())))
        numbers.number()  # what the JIT knew of the place: the stack empty, a call
    return tuple(bounds)


def _packed_bounds(data: bytes) -> tuple[ILBound, ...]:
    numbers = Nibbles(data)
    count, native_bits, il_bits = numbers.number(), numbers.number() + 1, numbers.number() + 1
    width = _SOURCE_BITS + native_bits + il_bits
    first = 8 * numbers.next_byte
    if native_bits > 32 or il_bits > 32 or count * width > 8 * len(data) - first or count > LIMITS.il_bounds:
        raise LimitExceeded(f"{len(data)} bytes of IL map claim {count} entries of {width} bits")
    bounds: list[ILBound] = []
    native = 0
    for index in range(count):
        at = first + index * width + _SOURCE_BITS
        entry = int.from_bytes(data[at >> 3 : (at + width + 7) >> 3], "little") >> (at & 7)
        native += entry & ((1 << native_bits) - 1)
        bounds.append(ILBound(native, _il_offset(entry >> native_bits & ((1 << il_bits) - 1))))
    return tuple(bounds)
