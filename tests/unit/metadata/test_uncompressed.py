"""Uncompressed metadata (#-), as Reflection.Emit and edit-and-continue write it: pointer tables, unsorted tables, forged counts."""

import struct

import pytest

from heaphound.errors import Malformed
from heaphound.runtime.metadata import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import type_token_name

STRINGS = b"\0Outer\0Inner\0a\0b\0c\0"
OUTER, INNER, A, B, C = 1, 7, 13, 15, 17


def blob(rows: dict[Table, list[bytes]], counts: dict[Table, int] | None = None, blobs: bytes = b"\0\x02\x06\x08") -> bytes:
    """A metadata blob of these raw rows; `counts` overrides what the header claims, `blobs` is the #Blob heap."""
    claimed = {table: (counts or {}).get(table, len(found)) for table, found in rows.items()}
    valid = sum(1 << table for table in rows)
    stream = struct.pack("<IBBBBQQ", 0, 2, 0, 0, 1, valid, 0)
    stream += b"".join(struct.pack("<I", claimed[table]) for table in sorted(rows))
    stream += b"".join(b"".join(rows[table]) for table in sorted(rows))
    parts = {b"#-\0\0": stream, b"#Strings\0\0\0\0": STRINGS, b"#Blob\0\0\0": blobs}
    head = b"BSJB" + struct.pack("<HHII", 1, 1, 0, 4) + b"v1\0\0" + struct.pack("<HH", 0, len(parts))
    offset = len(head) + sum(8 + len(name) for name in parts)
    directory = b""
    for name, data in parts.items():
        directory += struct.pack("<II", offset, len(data)) + name
        offset += len(data)
    return head + directory + b"".join(parts.values())


def typedef(name: int, first_field: int) -> bytes:
    return struct.pack("<IHHHHH", 0, name, 0, 0, first_field, 1)


def field(name: int) -> bytes:
    return struct.pack("<HHH", 0, name, 1)


ROWS = {
    Table.TYPE_DEF: [typedef(OUTER, 1), typedef(INNER, 3)],
    Table.FIELD_PTR: [struct.pack("<H", rid) for rid in (3, 1, 2)],
    Table.FIELD: [field(A), field(B), field(C)],
    Table.NESTED_CLASS: [struct.pack("<HH", 2, 1)],
}


def test_members_go_through_the_pointer_table() -> None:
    data = Metadata(blob(ROWS))
    names = [[data.field(rid).name for rid in data.typedef(owner).fields] for owner in (1, 2)]
    assert names == [["c", "a"], ["b"]]
    assert [data.field_owner(rid) for rid in (1, 2, 3)] == [1, 2, 1]
    assert data.typedef_full_name(2) == "Outer+Inner"


def test_unsorted_tables_are_searched_all_the_same() -> None:
    rows = {**ROWS, Table.TYPE_DEF: [typedef(OUTER, 1), typedef(INNER, 3), typedef(A, 4)]}
    rows[Table.NESTED_CLASS] = [struct.pack("<HH", 3, 2), struct.pack("<HH", 2, 1)]
    data = Metadata(blob(rows))
    assert (data.enclosing(3), data.enclosing(2), data.enclosing(1)) == (2, 1, None)
    assert data.typedef_full_name(3) == "Outer+Inner+a"


@pytest.mark.parametrize("count", [4, 0x00FFFFFF, 0xFFFFFFFF])
def test_more_rows_claimed_than_held(count: int) -> None:
    with pytest.raises(Malformed):
        Metadata(blob(ROWS, {Table.NESTED_CLASS: count}))


def test_member_range_that_runs_off() -> None:
    data = Metadata(blob({**ROWS, Table.TYPE_DEF: [typedef(OUTER, 1), typedef(INNER, 9)]}))
    with pytest.raises(Malformed):
        data.typedef(1)


def test_specifications_that_refer_to_each_other_end() -> None:
    """Two TypeSpecs, each a generic instance of the other with the other as both arguments: 2^depth names without a bound."""
    signatures = b"\0" + b"".join(bytes((8, 0x15, 0x12, other, 2, 0x12, other, 0x12, other)) for other in (2 << 2 | 2, 1 << 2 | 2))
    rows = {**ROWS, Table.TYPE_SPEC: [struct.pack("<H", 1), struct.pack("<H", 10)]}
    data = Metadata(blob(rows, blobs=signatures))
    with pytest.raises(Malformed):
        type_token_name(data, Table.TYPE_SPEC << 24 | 1)
