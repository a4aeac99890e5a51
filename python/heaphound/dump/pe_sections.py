"""Which parts of a PE file the process maps writable, by the file's own section table (PE format, "Section Table")."""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack_from

from heaphound.dump.disk_file import DiskFile
from heaphound.errors import Malformed

_WRITABLE = 0x80000000  # IMAGE_SCN_MEM_WRITE
_MOST_SECTIONS = 96  # the Windows loader's own bound


@dataclass(frozen=True, slots=True)
class PeSection:
    """One section: its address from the image's base, where its bytes begin in the file, how many there are, whether the process may write
    them."""

    address: int
    file_offset: int
    size_bytes: int
    writable: bool


def read_pe_sections(file: DiskFile) -> list[PeSection] | None:
    """The sections of `file`; None when it is no PE image. Raises `Malformed`, and `NotUsable` for a file cut short."""
    if file.size_bytes < 64 or file.read(0, 2) != b"MZ":
        return None
    (header,) = unpack_from("<I", file.read(0x3C, 4))
    if header + 24 > file.size_bytes or file.read(header, 4) != b"PE\0\0":
        return None
    coff = file.read(header + 4, 20)
    (count,) = unpack_from("<H", coff, 2)
    (optional_size,) = unpack_from("<H", coff, 16)
    if count > _MOST_SECTIONS:
        raise Malformed(f"{file.path} has {count} sections, at most {_MOST_SECTIONS}")
    table = file.read(header + 24 + optional_size, 40 * count)
    sections = []
    for index in range(count):
        address, size, offset = unpack_from("<III", table, 40 * index + 12)
        (flags,) = unpack_from("<I", table, 40 * index + 36)
        sections.append(PeSection(address, offset, size, bool(flags & _WRITABLE)))
    return sections
