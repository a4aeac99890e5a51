"""The debug directory of a PE image: which PDB belongs to it, and the PDB itself when it is embedded.

Source: dotnet/runtime, docs/design/specs/PE-COFF.md.
"""

import zlib
from dataclasses import dataclass
from struct import unpack, unpack_from
from uuid import UUID

from heaphound.errors import LimitExceeded, Malformed
from heaphound.runtime.pe import PEImage

_CODE_VIEW = 2
_EMBEDDED_PDB = 17
_PDB_CHECKSUM = 19
_PORTABLE_MINOR_VERSION = 0x504D
_MAXIMUM_ENTRIES = 64  # a compiler writes up to five
_MAXIMUM_ENTRY_BYTES = 1 << 28
_MAXIMUM_PDB_BYTES = 1 << 28  # uncompressed; the largest portable PDBs reach some 50 MB


@dataclass(frozen=True, slots=True)
class CodeView:
    """Identity and original path of the PDB. A portable PDB's id is the GUID and `stamp`; of a Windows PDB the GUID and `age`."""

    guid: UUID
    age: int
    path: str
    stamp: int
    is_portable: bool

    @property
    def pdb_id(self) -> bytes:
        """The 20 bytes that a portable PDB carries as its id."""
        return self.guid.bytes_le + self.stamp.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class DebugEntry:
    """One entry of the directory: type number, version, and where its data are."""

    kind: int
    stamp: int
    minor_version: int
    size_bytes: int
    rva: int
    file_offset: int


def debug_entries(image: PEImage) -> list[DebugEntry]:
    """All entries; empty when the image has no debug directory. Raises Unreadable or Malformed."""
    rva, size = image.debug_directory
    if not rva:
        return []
    if size // 28 > _MAXIMUM_ENTRIES:
        raise LimitExceeded(f"debug directory has {size // 28} entries, more than {_MAXIMUM_ENTRIES}")
    data = image.read(rva, size // 28 * 28)
    entries = []
    for offset in range(0, len(data), 28):
        _, stamp, _, minor, kind, size_bytes, data_rva, file_offset = unpack_from("<IIHHIIII", data, offset)
        entries.append(DebugEntry(kind, stamp, minor, size_bytes, data_rva, file_offset))
    return entries


def code_view(image: PEImage) -> CodeView | None:
    """The portable PDB's identity, else a Windows PDB's; None when the image names no PDB. Raises Unreadable or Malformed."""
    found = [_code_view(image, entry) for entry in debug_entries(image) if entry.kind == _CODE_VIEW]
    portable = [view for view in found if view.is_portable]
    return next(iter(portable or found), None)


def _code_view(image: PEImage, entry: DebugEntry) -> CodeView:
    data = _data(image, entry)
    if len(data) < 24 or data[:4] != b"RSDS":
        raise Malformed(f"CodeView entry starts with {data[:4].hex()} instead of RSDS")
    path = data[24:].split(b"\0", 1)[0].decode("utf-8", "replace")
    guid = UUID(bytes_le=data[4:20])
    return CodeView(guid, unpack_from("<I", data, 20)[0], path, entry.stamp, entry.minor_version == _PORTABLE_MINOR_VERSION)


def pdb_checksums(image: PEImage) -> list[tuple[str, bytes]]:
    """(algorithm, digest) of each PdbChecksum entry. Raises Unreadable or Malformed."""
    checksums = []
    for entry in debug_entries(image):
        if entry.kind == _PDB_CHECKSUM:
            name, _, digest = _data(image, entry).partition(b"\0")
            checksums.append((name.decode("ascii", "replace"), digest))
    return checksums


def embedded_pdb(image: PEImage) -> bytes | None:
    """The portable PDB inside the image, decompressed; None when there is none. Raises Unreadable or Malformed."""
    for entry in debug_entries(image):
        if entry.kind == _EMBEDDED_PDB:
            return decompress_pdb(_data(image, entry))
    return None


def decompress_pdb(data: bytes) -> bytes:
    """An MPDB blob (signature, uncompressed size, raw deflate) as the PDB it holds. Raises Malformed."""
    if len(data) < 8 or data[:4] != b"MPDB":
        raise Malformed(f"embedded PDB starts with {data[:4].hex()} instead of MPDB")
    size = unpack("<I", data[4:8])[0]
    if size > _MAXIMUM_PDB_BYTES:
        raise LimitExceeded(f"embedded PDB claims {size} bytes uncompressed, more than {_MAXIMUM_PDB_BYTES}")
    try:
        pdb = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[8:], max(size, 1))
    except zlib.error as error:
        raise Malformed(f"embedded PDB does not decompress: {error}") from error
    if len(pdb) != size:
        raise Malformed(f"embedded PDB decompresses to {len(pdb)} bytes instead of {size}")
    return pdb


def _data(image: PEImage, entry: DebugEntry) -> bytes:
    if entry.size_bytes > _MAXIMUM_ENTRY_BYTES:
        raise LimitExceeded(f"debug entry of kind {entry.kind} claims {entry.size_bytes} bytes")
    if entry.rva:
        return image.read(entry.rva, entry.size_bytes)
    return image.read_at_file_offset(entry.file_offset, entry.size_bytes)
