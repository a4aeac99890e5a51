"""The runtime's own descriptor: found, parsed, and refused when it is not one."""

import json
import struct

import pytest

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.layouts.descriptor import HEADER, MAGIC, MAXIMUM_JSON_BYTES, parse_descriptor, read_descriptor

JSON = {
    "version": 0,
    "baseline": "empty",
    "types": {"Thread": {"Id": 16, "LinkNext": [112, "pointer"]}},
    "globals": {"Unmask": ["0x7", "uint8"], "Plain": 12, "ThreadStore": [[1], "pointer"], "Architecture": ["x64", "string"]},
    "contracts": {"Thread": 1},
}


class Bytes:
    """Memory of three pieces."""

    def __init__(self, **header: int | bytes) -> None:
        text = json.dumps(JSON).encode()
        fields = {"magic": MAGIC, "flags": 1, "size": len(text), "json": 0x2000, "count": 2, "pad": 0, "pointers": 0x3000, **header}
        self.pieces = {0x1000: HEADER.pack(*fields.values()), 0x2000: text, 0x3000: struct.pack("<2Q", 0, 0x7F00)}

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.pieces.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise Unreadable(address, size)


def test_a_descriptor_is_read() -> None:
    found = read_descriptor(Bytes().read, 0x1000)
    assert found.types["Thread"].fields["LinkNext"].offset == 112
    assert found.types["Thread"].fields["LinkNext"].origin == "descriptor"
    assert found.literals == {"Unmask": 7, "Plain": 12}
    assert found.addresses == {"ThreadStore": 0x7F00}
    assert found.texts == {"Architecture": "x64"}
    assert found.contracts == {"Thread": 1}


@pytest.mark.parametrize(
    "header",
    [{"magic": b"DNCCDAC!"}, {"flags": 0}, {"flags": 3}, {"size": MAXIMUM_JSON_BYTES + 1}, {"count": 5000}, {"size": 20}],
    ids=["magic", "not valid", "32 bits", "huge text", "many pointers", "text cut"],
)
def test_what_is_no_descriptor_is_refused(header: dict[str, int | bytes]) -> None:
    with pytest.raises(Malformed):
        read_descriptor(Bytes(**header).read, 0x1000)


def test_a_missing_page_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_descriptor(Bytes(json=0x5000).read, 0x1000)


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"[]", b"{", b'{"globals": []}', b'{"globals": {"a": [[2], "pointer"]}}', b'{"globals": {"a": {}}}', b"[" * 100_000],
)
def test_text_of_another_shape_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_descriptor(text, (1, 2))


def test_an_offset_that_is_none_is_refused() -> None:
    with pytest.raises(LayoutError):
        parse_descriptor(b'{"types": {"Thread": {"Id": "sixteen"}}}', ())
