"""PE images of managed modules, in a dump or on disk: headers, COR20 header, metadata, method bodies.

The runtime maps an image either by its sections ("loaded": ReadyToRun images) or as the plain file ("flat": IL-only images). Which of the
two is not read from the runtime: both are tried, and the one that has the metadata signature at its place is right (true of all modules of
6.0.6, 8.0.4, 9.0.11 and 10.0.11). Source of the format: "PE Format" (Microsoft), ECMA-335 II.25.
"""

from dataclasses import dataclass
from pathlib import Path
from struct import unpack, unpack_from
from typing import Final, Literal, Protocol

from heaphound.errors import DumpError, Malformed, Unreadable
from heaphound.runtime.metadata.method_body import MethodBody, read_method_body
from heaphound.runtime.metadata.reader import Metadata

_DEBUG_DIRECTORY = 6
_COR_DIRECTORY = 14
_COR_HEADER_BYTES = 72
_MAXIMUM_HEADER_OFFSET = 1 << 16  # e_lfanew; linkers write 0x80 to 0x100
_MAXIMUM_SECTIONS = 96  # the Windows loader's own bound
_MAXIMUM_METADATA_BYTES: Final = 1 << 28  # the largest modules reach some 40 MB

Mapping = Literal["loaded", "flat"]
Directory = tuple[int, int]


_ARM64, _LINUX = 0xAA64, 0x7B79  # IMAGE_FILE_MACHINE_ARM64, IMAGE_FILE_MACHINE_OS_MASK_LINUX (src/coreclr/inc/pedecoder.h)


class ByteSource(Protocol):
    """Where the bytes of an image come from: the dump's memory, or a file."""

    def bytes(self, address: int, size_bytes: int, /) -> "bytes":
        """`size_bytes` from `address` on. Raises Unreadable when any is missing."""


class FileBytes:
    """A file as a source whose addresses are file offsets."""

    def __init__(self, data: "bytes") -> None:
        self._data = data

    def bytes(self, address: int, size_bytes: int, /) -> "bytes":
        """A slice of the file. Raises Unreadable past its end."""
        if address < 0 or size_bytes < 0 or address + size_bytes > len(self._data):
            raise Unreadable(address, size_bytes, f"outside the file of {len(self._data)} bytes")
        return self._data[address : address + size_bytes]


@dataclass(frozen=True, slots=True)
class Section:
    """A section header; sizes in bytes."""

    name: str
    rva: int
    virtual_size: int
    file_offset: int
    file_size: int


@dataclass(frozen=True, slots=True)
class CorHeader:
    """The CLI header (IMAGE_COR20_HEADER). Directories are (RVA, size in bytes), (0, 0) when absent."""

    runtime_version: tuple[int, int]
    metadata: Directory
    flags: int
    entry_point: int
    resources: Directory
    managed_native_header: Directory


@dataclass(frozen=True, slots=True)
class Headers:
    """What the NT headers say. `machine` is as stored: ReadyToRun images for Linux have it XORed with 0x7B79."""

    machine: int
    time_stamp: int
    size_of_image: int
    size_of_headers: int
    directories: tuple[Directory, ...]
    sections: tuple[Section, ...]


class PEImage:
    """A managed PE image. Bytes that the source lacks raise Unreadable when they are asked for."""

    def __init__(self, source: ByteSource, base: int, headers: Headers, cor: CorHeader, mapping: Mapping) -> None:
        self.base = base
        self.headers = headers
        self.cor = cor
        self.mapping: Mapping = mapping
        self._source = source
        self._metadata: Metadata | None = None

    @staticmethod
    def from_memory(memory: ByteSource, base: int) -> "PEImage":
        """The image at `base` of a dump. Raises Unreadable (headers or metadata not in the dump) or Malformed (no managed image there)."""
        headers = read_headers(memory, base)
        missing: Unreadable | None = None
        for mapping in ("loaded", "flat"):
            try:
                cor = _cor_header(memory, base, headers, mapping)
            except Unreadable as error:
                missing = missing or error
                continue
            if cor is not None:
                return PEImage(memory, base, headers, cor, mapping)
        if missing is not None:
            raise missing
        raise Malformed(f"the image at {base:#x} has no CLI metadata, neither loaded by section nor as a flat file")

    @staticmethod
    def from_file(path: str | Path) -> "PEImage":
        """The image in a file. Raises DumpError when the file cannot be read, Malformed when it is no managed PE image."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise DumpError(f"{path} cannot be read: {error.strerror}") from error
        return PEImage.from_bytes(data)

    @staticmethod
    def from_bytes(data: bytes) -> "PEImage":
        """The image in the bytes of a file. Raises Malformed."""
        source = FileBytes(data)
        try:
            headers = read_headers(source, 0)
            cor = _cor_header(source, 0, headers, "flat")
        except Unreadable as error:
            raise Malformed(f"the file is too short for a managed PE image: {error}") from error
        if cor is None:
            raise Malformed("the PE file has no CLI metadata")
        return PEImage(source, 0, headers, cor, "flat")

    def address(self, rva: int) -> int:
        """Address (file offset for a file) of an RVA. Raises Malformed when no section holds it."""
        return _address(self.base, self.headers, self.mapping, rva)

    def read(self, rva: int, size_bytes: int) -> bytes:
        """Bytes at an RVA. Raises Unreadable, or Malformed when no section holds the RVA."""
        return self._source.bytes(self.address(rva), size_bytes)

    def read_at_file_offset(self, offset: int, size_bytes: int) -> bytes:
        """Bytes at a file offset, which only a flat mapping has. Raises Unreadable for a loaded one."""
        if self.mapping != "flat":
            raise Unreadable(self.base, size_bytes, "not mapped: the image is loaded by section")
        return self._source.bytes(self.base + offset, size_bytes)

    def metadata_bytes(self) -> bytes:
        """The whole metadata blob. Raises Unreadable or Malformed."""
        rva, size = self.cor.metadata
        if size > _MAXIMUM_METADATA_BYTES:
            raise Malformed(f"the image at {self.base:#x} claims {size} bytes of metadata")
        return self.read(rva, size)

    def metadata(self) -> Metadata:
        """The reader of its metadata, made once."""
        if self._metadata is None:
            self._metadata = Metadata(self.metadata_bytes())
        return self._metadata

    def method_body(self, rva: int) -> MethodBody:
        """The IL body at a method's RVA. Raises Unreadable when the dump lacks it, Malformed when it is none."""
        return read_method_body(self.read, rva)

    @property
    def debug_directory(self) -> Directory:
        """(RVA, size in bytes) of the debug directory, (0, 0) when absent."""
        directories = self.headers.directories
        return directories[_DEBUG_DIRECTORY] if len(directories) > _DEBUG_DIRECTORY else (0, 0)

    @property
    def is_arm64(self) -> bool:
        """Whether its native code, if it has any, is of arm64."""
        return self.headers.machine in (_ARM64, _ARM64 ^ _LINUX)

    @property
    def managed_native_header(self) -> Directory | None:
        """(RVA, size in bytes) of the ReadyToRun header; None for an image of IL alone."""
        rva, size = self.cor.managed_native_header
        return (rva, size) if rva else None


def read_headers(source: ByteSource, base: int) -> Headers:
    """The PE headers at `base`. Raises Unreadable or Malformed."""
    dos = source.bytes(base, 64)
    offset = int.from_bytes(dos[60:64], "little")
    if dos[:2] != b"MZ" or offset > _MAXIMUM_HEADER_OFFSET:
        raise Malformed(f"there is no PE image at {base:#x}: it starts with {dos[:2].hex()}")
    signature, machine, sections, stamp, optional_size = unpack("<4sHHI8xH2x", source.bytes(base + offset, 24))
    if signature != b"PE\0\0" or sections > _MAXIMUM_SECTIONS:
        raise Malformed(f"the image at {base:#x} has the signature {signature.hex()} and {sections} sections")
    optional = source.bytes(base + offset + 24, optional_size)
    magic = int.from_bytes(optional[:2], "little")
    directories_at = {0x10B: 96, 0x20B: 112}.get(magic)
    if directories_at is None or optional_size < directories_at:
        raise Malformed(f"the image at {base:#x} has an optional header of {optional_size} bytes with the magic {magic:#x}")
    size_of_image, size_of_headers = unpack_from("<II", optional, 56)
    count = min(int.from_bytes(optional[directories_at - 4 : directories_at], "little"), 16, (optional_size - directories_at) // 8)
    directories = tuple(unpack_from("<II", optional, directories_at + 8 * index) for index in range(count))
    table = source.bytes(base + offset + 24 + optional_size, 40 * sections)
    parsed = tuple(_section(table, 40 * index) for index in range(sections))
    return Headers(machine, stamp, size_of_image, size_of_headers, directories, parsed)


def _section(table: bytes, offset: int) -> Section:
    name, virtual_size, rva, file_size, file_offset = unpack_from("<8sIIII", table, offset)
    return Section(name.rstrip(b"\0").decode("ascii", "replace"), rva, virtual_size, file_offset, file_size)


def _address(base: int, headers: Headers, mapping: Mapping, rva: int) -> int:
    if mapping == "loaded" or 0 <= rva < headers.size_of_headers:
        return base + rva
    for section in headers.sections:
        if 0 <= rva - section.rva < max(section.virtual_size, section.file_size):
            if rva - section.rva >= section.file_size:
                raise Malformed(f"RVA {rva:#x} lies in the part of section {section.name} that is not in the file")
            return base + section.file_offset + rva - section.rva
    raise Malformed(f"RVA {rva:#x} is in no section of the image at {base:#x}")


def _cor_header(source: ByteSource, base: int, headers: Headers, mapping: Mapping) -> CorHeader | None:
    """The CLI header in that mapping; None when the bytes there are no CLI header with metadata behind it."""
    rva, size = headers.directories[_COR_DIRECTORY] if len(headers.directories) > _COR_DIRECTORY else (0, 0)
    if not rva or size < _COR_HEADER_BYTES:
        raise Malformed(f"the image at {base:#x} is native: it has no CLI header")
    try:
        raw = source.bytes(_address(base, headers, mapping, rva), _COR_HEADER_BYTES)
        values = unpack("<IHH2I2I2I8x8x8x8x2I", raw)
        metadata = (values[3], values[4])
        if values[0] != _COR_HEADER_BYTES or metadata[1] < 20:
            return None
        magic = source.bytes(_address(base, headers, mapping, metadata[0]), 4)
    except Malformed:
        return None
    if magic != b"BSJB":
        return None
    return CorHeader((values[1], values[2]), metadata, values[5], values[6], (values[7], values[8]), (values[9], values[10]))
