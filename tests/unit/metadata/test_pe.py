"""PE images: both mappings, method bodies, the debug directory, and what is no image."""

import struct
from pathlib import Path

import pytest

from heaphound.errors import DumpError, Malformed, Unreadable
from heaphound.runtime.metadata.debug_directory import code_view, decompress_pdb, embedded_pdb, pdb_checksums
from heaphound.runtime.metadata.method_body import read_method_body
from heaphound.runtime.pe import FileBytes, PEImage
from tests.unit.metadata.images import REDIS, SHOP_CACHING, ZOO, image, method_rid

BASE = 0x7F0000000000


class Mapped:
    """Memory that holds some bytes at BASE; `holes` are absent."""

    def __init__(self, data: bytes, holes: tuple[range, ...] = ()) -> None:
        self.data = data
        self.holes = holes

    def bytes(self, address: int, size_bytes: int, /) -> "bytes":
        start = address - BASE
        end = start + size_bytes
        if start < 0 or end > len(self.data) or any(hole.start < end and start < hole.stop for hole in self.holes):
            raise Unreadable(address, size_bytes)
        return self.data[start:end]


def loaded(data: bytes) -> bytes:
    """A file as it would be mapped by section."""
    headers = PEImage.from_bytes(data).headers
    memory = bytearray(headers.size_of_image)
    memory[: headers.size_of_headers] = data[: headers.size_of_headers]
    for section in headers.sections:
        raw = data[section.file_offset : section.file_offset + section.file_size]
        memory[section.rva : section.rva + len(raw)] = raw
    return bytes(memory)


@pytest.mark.parametrize("mapping", ["flat", "loaded"])
def test_both_mappings_give_the_same_metadata_and_code(mapping: str) -> None:
    data = ZOO.read_bytes()
    found = PEImage.from_memory(Mapped(data if mapping == "flat" else loaded(data)), BASE)
    assert found.mapping == mapping
    assert found.metadata_bytes() == image(ZOO).metadata_bytes()
    rid = method_rid(ZOO, "Zoo.Program", "Main")
    rva = found.metadata().methoddef(rid).rva
    assert found.method_body(rva) == image(ZOO).method_body(rva)
    assert code_view(found) == code_view(image(ZOO))


def test_absent_metadata_is_unreadable_and_never_empty() -> None:
    data = ZOO.read_bytes()
    whole = image(ZOO)
    start = whole.address(whole.cor.metadata[0])
    found = PEImage.from_memory(Mapped(data, (range(start + 4, start + 64),)), BASE)
    with pytest.raises(Unreadable):
        found.metadata_bytes()
    with pytest.raises(Unreadable):
        PEImage.from_memory(Mapped(data, (range(start, start + 4),)), BASE)
    with pytest.raises(Unreadable):
        PEImage.from_memory(Mapped(b""), BASE)


def test_what_is_no_managed_image(tmp_path: Path) -> None:
    data = ZOO.read_bytes()
    for wrong in (b"", b"MZ", b"\x7fELF" + bytes(100), data[:300], data.replace(b"BSJB", b"XXXX", 1)):
        with pytest.raises(Malformed):
            PEImage.from_bytes(wrong)
    with pytest.raises(DumpError):
        PEImage.from_file(tmp_path / "absent.dll")


def test_native_image_is_told_apart() -> None:
    data = bytearray(ZOO.read_bytes())
    offset = int.from_bytes(data[60:64], "little") + 24
    data[offset + 96 + 14 * 8 : offset + 96 + 15 * 8] = bytes(8)
    with pytest.raises(Malformed, match="native"):
        PEImage.from_bytes(bytes(data))


def test_lock_statement_has_its_finally() -> None:
    rid = method_rid(SHOP_CACHING, "Shop.Caching.RedisHub", "get_Instance")
    whole = image(SHOP_CACHING)
    body = whole.method_body(whole.metadata().methoddef(rid).rva)
    (clause,) = body.clauses
    assert clause.kind == "finally"
    assert clause.try_start < clause.try_end == clause.handler_start < clause.handler_end <= len(body.code)
    assert body.local_signature >> 24 == 0x11


def test_bodies_by_hand() -> None:
    tiny = bytes([3 << 2 | 2]) + b"\x00\x00\x2a"
    assert read_method_body(FileBytes(tiny).bytes, 0).code == b"\x00\x00\x2a"
    fat = struct.pack("<HHII", 0x301B, 2, 4, 0x11000001) + b"\x00\x00\x00\x2a" + b"\x41" + (28).to_bytes(3, "little")
    fat += struct.pack("<6I", 1, 0, 2, 2, 1, 7)
    body = read_method_body(FileBytes(fat).bytes, 0)
    assert (body.max_stack, body.init_locals, body.local_signature) == (2, True, 0x11000001)
    assert (body.clauses[0].kind, body.clauses[0].filter_offset, body.clauses[0].handler_end) == ("filter", 7, 3)
    with pytest.raises(Malformed):
        read_method_body(FileBytes(b"\x00" * 16).bytes, 0)
    with pytest.raises(Malformed):
        read_method_body(FileBytes(struct.pack("<HHII", 0x3013, 2, 0xFFFFFFFF, 0)).bytes, 0)


def test_embedded_pdb_and_identity() -> None:
    view = code_view(image(REDIS))
    assert view is not None
    assert view.is_portable
    assert view.path == "StackExchange.Redis.pdb"
    pdb = embedded_pdb(image(REDIS))
    assert pdb is not None
    assert pdb[:4] == b"BSJB"
    assert embedded_pdb(image(SHOP_CACHING)) is None
    assert pdb_checksums(image(SHOP_CACHING))[0][0] == "SHA256"


@pytest.mark.parametrize(
    "data", [b"", b"MPDB", b"XXXX\x04\0\0\0", b"MPDB\xff\xff\xff\xff", b"MPDB\x04\0\0\0garbage", b"MPDB\x05\0\0\0" + b"\x03\x00"]
)
def test_embedded_pdb_that_does_not_unpack(data: bytes) -> None:
    with pytest.raises(Malformed):
        decompress_pdb(data)
