"""Metadata that is still being written: the tables of a real module (the program Zoo) laid out as the runtime's pools of records."""

import pytest

from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.layouts.load import layout_file
from heaphound.runtime.emitted_metadata import emitted_metadata
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.pe import PEImage
from tests.lab.dumps import PROGRAMS
from tests.unit.runtime.written_memory import written_memory

LAYOUT = layout_file("6.0.0", "x64", None).layout
FILE, IMPORTER, DATABASE = 0x10000, 0x20000, 0x30000
HEAPS = {"#Strings": "StringHeap", "#Blob": "BlobHeap", "#US": "UserStringHeap", "#GUID": "GuidHeap"}


def zoo() -> Metadata:
    return PEImage.from_file(PROGRAMS / "Zoo" / "bin" / "Zoo.dll").metadata()


class Emitting:
    """A CLiteWeightStgdbRW with the tables and heaps of `source`, each pool in `segments` parts."""

    def __init__(self, source: Metadata, segments: int = 1) -> None:
        self.source = source
        self.segments = segments
        self.image, self.memory = written_memory()
        self.next = 0x1000000
        for address, size in ((FILE, 0x100), (IMPORTER, 0x100), (DATABASE, 0x4000)):
            self.image.write(address, bytes(size))
        self.image.words(FILE + LAYOUT.offset("PEAssembly", "MDImport"), IMPORTER)
        self.image.words(IMPORTER + LAYOUT.offset("MDInternalRW", "Stgdb"), DATABASE)
        self.schema = DATABASE + LAYOUT.offset("CLiteWeightStgdbRW", "Schema")
        for name, field in HEAPS.items():
            span = source.streams[name]
            data = source.data[span.start : span.start + span.size_bytes]
            self.write_pool(DATABASE + LAYOUT.offset("CLiteWeightStgdbRW", field), data)
        for table in Table:
            if table < 45 and source.tables.count(table):
                self.write_table(table)

    def pool_of(self, table: int) -> int:
        return DATABASE + LAYOUT.offset("CLiteWeightStgdbRW", "Tables") + table * LAYOUT.size("RecordPool")

    def write_table(self, table: Table) -> None:
        tables = self.source.tables
        size = tables.column(table, 0).strides[0]
        rows = b"".join(self.row(table, rid) for rid in range(1, tables.count(table) + 1))
        assert len(rows) == size * tables.count(table)
        self.write_pool(self.pool_of(table), rows)
        self.image.write(self.pool_of(table) + LAYOUT.offset("RecordPool", "RecordBytes"), size.to_bytes(4, "little"))
        self.image.write(self.schema + 24 + 4 * table, tables.count(table).to_bytes(4, "little"))

    def row(self, table: Table, rid: int) -> bytes:
        """A row as stored: column by column in its width."""
        columns = [self.source.tables.column(table, index) for index in range(len(self.source.tables.row(table, rid)))]
        return b"".join(column[rid - 1].tobytes() for column in columns)

    def write_pool(self, pool: int, data: bytes) -> None:
        step = -(-len(data) // self.segments)
        parts = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
        segment = pool + LAYOUT.offset("StgPool", "FirstSegment")
        for index, part in enumerate(parts):
            self.next += 0x100000
            self.image.write(self.next, part or b"\0")
            following = self.next + 0x80000
            self.image.write(following, bytes(32))
            self.image.words(segment + LAYOUT.offset("StgPoolSeg", "Data"), self.next)
            self.image.words(segment + LAYOUT.offset("StgPoolSeg", "Next"), following if index + 1 < len(parts) else 0)
            self.image.write(segment + LAYOUT.offset("StgPoolSeg", "UsedBytes"), len(part).to_bytes(4, "little"))
            segment = following

    def read(self) -> Metadata:
        return emitted_metadata(self.memory, LAYOUT, FILE)


@pytest.mark.parametrize("segments", [1, 3])
def test_the_same_types_fields_and_methods_as_in_the_file(segments: int) -> None:
    source = zoo()
    found = Emitting(source, segments).read()
    rows = range(1, source.tables.count(Table.TYPE_DEF) + 1)
    assert len(rows) > 30
    assert [found.typedef(row) for row in rows] == [source.typedef(row) for row in rows]
    assert [found.typedef_full_name(row) for row in rows] == [source.typedef_full_name(row) for row in rows]
    fields = range(1, source.tables.count(Table.FIELD) + 1)
    assert [found.field(row) for row in fields] == [source.field(row) for row in fields]
    assert found.assembly() == source.assembly()
    assert [found.constant(0x04000000 | row) for row in fields] == [source.constant(0x04000000 | row) for row in fields]


def test_a_row_count_that_its_pool_contradicts() -> None:
    emitting = Emitting(zoo())
    emitting.image.write(emitting.schema + 24 + 4 * Table.FIELD, b"\x01\x00\x00\x00")
    with pytest.raises(Malformed, match="self-check RecordPool: table 0x4 has 1 rows"):
        emitting.read()


def test_rows_wider_than_their_columns() -> None:
    emitting = Emitting(zoo())
    pool, count = emitting.pool_of(Table.MODULE), emitting.source.tables.count(Table.MODULE)
    emitting.write_pool(pool, bytes(count * 24))
    emitting.image.write(pool + LAYOUT.offset("RecordPool", "RecordBytes"), b"\x18")
    with pytest.raises(Malformed, match="not as wide as their columns"):
        emitting.read()


def test_pools_that_are_loops_or_absurd() -> None:
    emitting = Emitting(zoo())
    segment = emitting.pool_of(Table.FIELD) + LAYOUT.offset("StgPool", "FirstSegment")
    emitting.image.write(segment + LAYOUT.offset("StgPoolSeg", "UsedBytes"), b"\xff\xff\xff\x7f")
    with pytest.raises(LimitExceeded, match="claims 2147483647 bytes"):
        emitting.read()
    emitting.image.write(segment + LAYOUT.offset("StgPoolSeg", "UsedBytes"), bytes(4))
    emitting.image.words(segment + LAYOUT.offset("StgPoolSeg", "Next"), segment)
    with pytest.raises(LimitExceeded, match="more than 4096 segments"):
        emitting.read()


def test_where_there_is_no_metadata_at_all() -> None:
    emitting = Emitting(zoo())
    emitting.image.words(FILE + LAYOUT.offset("PEAssembly", "MDImport"), 0)
    with pytest.raises(Malformed, match="has no metadata"):
        emitting.read()
    with pytest.raises(LayoutError, match=r"PEAssembly\.MDImport"):
        emitted_metadata(emitting.memory, layout_file("9.0.0", "x64", None).layout, FILE)
