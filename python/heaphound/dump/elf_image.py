"""The headers of one ELF image, read from a process's memory or from a file: segments, build-id, kinds of machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import iter_unpack, unpack_from

from heaphound.dump.notes import parse_notes
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_RELRO = 1, 2, 4, 0x6474E552
PF_EXECUTE, PF_WRITE = 1, 2
PAGE = 4096
_NT_GNU_BUILD_ID = 3

ReadAt = Callable[[int, int], bytes]  # (offset from the start of the image or file, size) -> bytes, or an error


@dataclass(frozen=True, slots=True)
class ProgramHeader:
    """One `Elf64_Phdr`; `address` is as linked, before the load bias."""

    kind: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    alignment: int


@dataclass(frozen=True, slots=True)
class ElfHeaders:
    """What the first page of an image says. `kind`: 2 fixed address, 3 shared or position independent."""

    kind: int
    machine: int
    segments: tuple[ProgramHeader, ...]

    @property
    def loads(self) -> list[ProgramHeader]:
        """The PT_LOAD segments in file order, which is ascending by address."""
        return [segment for segment in self.segments if segment.kind == PT_LOAD]

    @property
    def first_address(self) -> int:
        """The linked address of file offset 0: 0 for shared libraries, e.g. 0x400000 for a program at a fixed address."""
        first = next(iter(self.loads), None)
        return 0 if first is None else (first.address - first.offset) & ~(PAGE - 1)

    @property
    def span_bytes(self) -> int:
        """From the first byte in memory to the end of the last segment, .bss included, rounded up to a page."""
        end = max((load.address + load.memory_bytes for load in self.loads), default=0)
        return max(0, -(-(end - self.first_address) // PAGE) * PAGE)

    def file_pages(self, base: int, flags: int = 0) -> list[tuple[int, int]]:
        """(start, end) in memory of the pages that hold the segments' bytes, for an image whose header lies at `base`.

        `flags`: of segments with these flags alone.
        The mappings of the file may have gaps between them that nothing can be read from: arm64 links segments 64 KB apart.
        """
        bias = base - self.first_address
        pages = (
            (bias + load.address, bias + load.address + load.file_bytes)
            for load in self.loads
            if load.file_bytes and load.flags & flags == flags
        )
        return [(start & -PAGE, -(-end // PAGE) * PAGE) for start, end in pages]

    def first(self, kind: int) -> ProgramHeader | None:
        """The first program header of `kind`, None when there is none."""
        return next((segment for segment in self.segments if segment.kind == kind), None)


def read_headers(read: ReadAt, where: str) -> ElfHeaders | None:
    """The headers of the 64-bit little-endian ELF image behind `read`; None when it is something else.

    Raises what `read` raises, and `Malformed` (saying `where`) for tables that make no sense.
    """
    if read(0, 6) != b"\x7fELF\x02\x01":
        return None
    head = read(0, 64)
    kind, machine = unpack_from("<HH", head, 16)
    (table,) = unpack_from("<Q", head, 32)
    entry_size, count = unpack_from("<HH", head, 54)
    if count > LIMITS.image_program_headers:
        raise LimitExceeded(f"the ELF image at {where} has {count} program headers, at most {LIMITS.image_program_headers}")
    if count and entry_size != 56:
        raise Malformed(f"the ELF image at {where} has program headers of {entry_size} bytes")
    rows = iter_unpack("<IIQQQQQQ", read(table, 56 * count) if count else b"")
    segments = tuple(
        ProgramHeader(kind, flags, offset, address, file_bytes, memory_bytes, alignment)
        for kind, flags, offset, address, _, file_bytes, memory_bytes, alignment in rows
    )
    return ElfHeaders(kind, machine, segments)


def read_build_id(headers: ElfHeaders, read: ReadAt, where: str) -> str | None:
    """The GNU build-id in hexadecimal, None when the image has none. `read` takes *linked* addresses here.

    Raises what `read` raises, and `Malformed`.
    """
    for segment in headers.segments:
        if segment.kind != PT_NOTE:
            continue
        if segment.file_bytes > LIMITS.image_notes_bytes:
            raise LimitExceeded(f"the ELF image at {where} has notes of {segment.file_bytes} bytes, at most {LIMITS.image_notes_bytes}")
        data = read(segment.address, segment.file_bytes)
        for note in parse_notes(data, segment.offset, 8 if segment.alignment == 8 else 4):
            if note.owner == "GNU" and note.kind == _NT_GNU_BUILD_ID:
                return note.data.hex()
    return None
