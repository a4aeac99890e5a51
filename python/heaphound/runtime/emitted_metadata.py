"""Metadata of a module that Reflection.Emit is still writing, out of the runtime's own tables in memory.

.NET 6 keeps no serialised copy of it (later versions do, see `dynamic_metadata`). What it has is a CLiteWeightStgdbRW: row counts, a pool
of records for each table and one for each heap (src/coreclr/md/inc/metamodelrw.h, src/coreclr/inc/stgpool.h). The records are rows as in a
file, so the pools are put together to an uncompressed ("#-") blob and read as any other metadata.
"""

from struct import pack

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.metadata.reader import Metadata

_TABLES = 45  # TBL_COUNT of metamodel.h in 6.0: up to GenericParamConstraint
_MOST_SEGMENTS = 4_096  # of one pool; each is larger than the one before
_ROWS = 1 << 24
_SCHEMA_HEAPS, _SCHEMA_COUNTS = 6, 24  # CMiniMdSchema: heap widths after reserved u32 and version; counts behind the two masks
_HEAPS = {"#Strings": "StringHeap", "#Blob": "BlobHeap", "#US": "UserStringHeap", "#GUID": "GuidHeap"}


def emitted_metadata(memory: Memory, layout: Layout, pe_assembly: int) -> Metadata:
    """The reader of what has been emitted so far. Raises LayoutError where the layout does not lead there, Unreadable, Malformed."""
    importer = memory.pointer(pe_assembly + layout.offset("PEAssembly", "MDImport"))
    if not importer:
        raise Malformed(f"the assembly file {pe_assembly:#x} made in memory has no metadata")
    database = memory.pointer(importer + layout.offset("MDInternalRW", "Stgdb"))
    reader = _Database(memory, layout, database)
    for streams in (reader.streams(), {"#JTD": b"", **reader.streams()}):  # once a table has outgrown 16 bits, all indexes have 32
        metadata = _fitting(streams, reader.row_bytes)
        if metadata is not None:
            return metadata
    raise Malformed(f"self-check RecordPool: rows of the metadata at {database:#x} are not as wide as their columns")


def _fitting(streams: dict[str, bytes], row_bytes: dict[int, int]) -> Metadata | None:
    """The reader of these streams; None when the rows that it expects are not as wide as the records are."""
    try:
        metadata = Metadata(_blob(streams))
    except Malformed:
        return None
    widths = {table: metadata.tables.column(table, 0).strides[0] for table in row_bytes}
    return metadata if widths == row_bytes else None


class _Database:
    """Pools of one CLiteWeightStgdbRW. `row_bytes` is the size of a record of each table that has any."""

    def __init__(self, memory: Memory, layout: Layout, address: int) -> None:
        self._memory = memory
        self._layout = layout
        self._address = address
        self._schema = address + layout.offset("CLiteWeightStgdbRW", "Schema")
        self.row_bytes: dict[int, int] = {}
        self._records: dict[int, bytes] = {}
        for table in range(_TABLES):
            count = memory.u32(self._schema + _SCHEMA_COUNTS + 4 * table)
            if count:
                self._read_table(table, count)

    def _read_table(self, table: int, count: int) -> None:
        pool = self._address + self._layout.offset("CLiteWeightStgdbRW", "Tables") + table * self._layout.size("RecordPool")
        size = self._memory.u32(pool + self._layout.offset("RecordPool", "RecordBytes"))
        records = self._pool(pool)
        if count > _ROWS or count * size != len(records):
            raise Malformed(f"self-check RecordPool: table {table:#x} has {count} rows of {size} bytes in {len(records)} bytes")
        self.row_bytes[table] = size
        self._records[table] = records

    def _pool(self, pool: int) -> bytes:
        """All bytes in use of a pool: its first segment lies in it behind a vtable pointer, further ones stand alone."""
        parts: list[bytes] = []
        segment, total = pool + self._layout.offset("StgPool", "FirstSegment"), 0
        for _ in range(_MOST_SEGMENTS):
            used = self._memory.u32(segment + self._layout.offset("StgPoolSeg", "UsedBytes"))
            total += used
            if total > LIMITS.metadata_bytes:
                raise LimitExceeded(f"a pool of metadata at {pool:#x} claims {total} bytes")
            if used:
                parts.append(self._memory.bytes(self._memory.pointer(segment + self._layout.offset("StgPoolSeg", "Data")), used))
            segment = self._memory.pointer(segment + self._layout.offset("StgPoolSeg", "Next"))
            if not segment:
                return b"".join(parts)
        raise LimitExceeded(f"the pool of metadata at {pool:#x} has more than {_MOST_SEGMENTS} segments")

    def streams(self) -> dict[str, bytes]:
        """The streams of a metadata blob: tables and heaps."""
        found = {name: self._pool(self._address + self._layout.offset("CLiteWeightStgdbRW", field)) for name, field in _HEAPS.items()}
        valid = sum(1 << table for table in self._records)
        heap_widths = self._memory.u8(self._schema + _SCHEMA_HEAPS) & 7
        head = pack("<IBBBBQQ", 0, 2, 0, heap_widths, 1, valid, 0)  # no table is taken for sorted: rows lie as they were emitted
        counts = [len(records) // self.row_bytes[table] for table, records in self._records.items()]
        found["#-"] = head + pack(f"<{len(counts)}I", *counts) + b"".join(self._records.values())
        return found


def _blob(streams: dict[str, bytes]) -> bytes:
    """A metadata root over these streams (ECMA-335 II.24.2.1)."""
    version = b"v4.0.30319\0\0"
    names = {name: name.encode().ljust((len(name) + 4) & ~3, b"\0") for name in streams}
    at = 20 + len(version) + sum(8 + len(name) for name in names.values())
    headers = b""
    for name, data in streams.items():
        headers += pack("<II", at, len(data)) + names[name]
        at += len(data)
    return b"BSJB" + pack("<HHII", 1, 1, 0, len(version)) + version + pack("<HH", 0, len(streams)) + headers + b"".join(streams.values())
