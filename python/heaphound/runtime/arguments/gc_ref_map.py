"""GC reference maps of ready-to-run images: which words of a call's arguments are references, without its signature.

Source: src/coreclr/inc/gcrefmap.h, FindGCRefMap of vm/frames.cpp, docs/design/coreclr/botr/readytorun-format.md, v3.1 to v10.0.
"""

from struct import iter_unpack, unpack

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.ready_to_run import ReadyToRunImage

REFERENCE, INTERIOR, METHOD_PARAMETER, TYPE_PARAMETER, VARIABLE_ARGUMENTS = range(1, 6)
_IMPORT_SECTIONS = 101  # ReadyToRunSectionType::ImportSections
_IMPORT_SECTION_BYTES = 20  # {RVA, size, u16 flags, u8 type, u8 entry size, RVA of signatures, RVA of auxiliary data}
_STRIDE = 1024  # GCREFMAP_LOOKUP_STRIDE


def find_map(memory: Memory, image: ReadyToRunImage, cell: int) -> int | None:
    """Address of the map of the import whose indirection cell is at `cell`; None where the image has none. Raises Malformed, Unreadable."""
    data = image.section(_IMPORT_SECTIONS) or b""
    if len(data) > LIMITS.import_sections * _IMPORT_SECTION_BYTES:
        raise LimitExceeded(f"the image at {image.base:#x} claims {len(data)} bytes of import sections")
    rva = cell - image.base
    for start, size, _, _, entry_bytes, _, auxiliary in iter_unpack("<IIHBBII", data[: len(data) // 20 * 20]):
        if start <= rva < start + size:
            return _entry(memory, image.base + auxiliary, (rva - start) // (entry_bytes or 8)) if auxiliary else None
    return None


def _entry(memory: Memory, table: int, index: int) -> int:
    """The maps of a section follow each other, the last byte of each without its highest bit; every 1024th has its offset at the start."""
    (offset,) = unpack("<I", memory.bytes(table + 4 * (index // _STRIDE), 4))
    at: int = table + offset
    left = index % _STRIDE
    for _ in range(_STRIDE * LIMITS.gc_ref_map_bytes):
        if not left:
            return at
        left -= not memory.u8(at) & 0x80
        at += 1
    raise Malformed(f"the GC reference maps at {table:#x} have no end")


def decode_map(memory: Memory, address: int) -> list[tuple[int, int]]:
    """(word of the TransitionBlock counted from the first that a map has, kind) of a map. Raises Malformed, Unreadable."""
    bits = _Bits(memory, address)
    found: list[tuple[int, int]] = []
    position = 0
    while not bits.at_end:
        token = bits.two()
        if token == 3:
            extended = bits.number()
            if not extended & 1:
                position += (extended >> 1) + 4
                continue
            token = (extended >> 1) + 3
        if token:
            if token > VARIABLE_ARGUMENTS:
                raise Malformed(f"the GC reference map at {address:#x} has a word of kind {token}")
            found.append((position, token))
        position += 1
    return found


class _Bits:
    """Seven bits a byte, the lowest first; the highest says whether another byte follows."""

    def __init__(self, memory: Memory, address: int) -> None:
        self._memory = memory
        self._address = address
        self._read = 0
        self._pending = 0x80

    @property
    def at_end(self) -> bool:
        """Whether only zeros are left: they mean nothing."""
        return self._pending == 0

    def two(self) -> int:
        """The next two bits."""
        return self._bit() | self._bit() << 1

    def number(self) -> int:
        """Groups of three bits, the lowest first, each with a mark that another follows."""
        value = shift = 0
        while True:
            value |= (self._bit() | self._bit() << 1 | self._bit() << 2) << shift
            shift += 3
            if not self._bit():
                return value
            if shift > 32:
                raise Malformed(f"the GC reference map at {self._address:#x} has a number of more than 32 bits")

    def _bit(self) -> int:
        pending = self._pending
        if pending & 0x80:
            if self._read >= LIMITS.gc_ref_map_bytes:
                raise LimitExceeded(f"the GC reference map at {self._address:#x} has no end")
            pending = self._memory.u8(self._address + self._read)
            pending |= (pending & 0x80) << 7
            self._read += 1
        self._pending = pending >> 1
        return pending & 1
