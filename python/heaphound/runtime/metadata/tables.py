"""The table stream: row counts, column widths and raw rows, decoded on demand."""

from bisect import bisect_left, bisect_right
from struct import Struct, unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import Span
from heaphound.runtime.metadata.schema import CODED_INDEXES, COLUMNS, Table

_CODES = {1: "B", 2: "H", 4: "I"}
_EXTRA_DATA = 0x40  # heap-size flag: four more bytes follow the row counts (CMiniMd in src/coreclr/md/inc/metamodel.h)
_HEAP_FLAGS = {"string": 1, "guid": 2, "blob": 4}


class _Shape:
    """One table: where its rows start, how wide they are, and how a row unpacks."""

    __slots__ = ("coded", "count", "offsets", "row_size", "start", "unpack", "widths")

    def __init__(self, columns: list[str], widths: list[int], count: int, start: int) -> None:
        self.widths = widths
        self.offsets = [sum(widths[:index]) for index in range(len(widths))]
        self.row_size = sum(widths)
        self.count = count
        self.start = start
        self.unpack = Struct("<" + "".join(_CODES[width] for width in widths)).unpack_from
        self.coded = [CODED_INDEXES.get(column) for column in columns]


class Tables:
    """The rows of a #~ or #- stream. Opening reads the header only; a row costs about a microsecond.

    `external_counts`: row counts of the type system tables that a stand-alone PDB refers to but does not hold.
    Raises Malformed when the stream does not hold the rows that its header promises.
    """

    def __init__(self, data: bytes, span: Span, *, minimal_delta: bool = False, external_counts: dict[int, int] | None = None) -> None:
        self._data = data
        if span.size_bytes < 24:
            raise Malformed(f"metadata table stream of {span.size_bytes} bytes is shorter than its header")
        heap_sizes, valid, self.sorted_mask = unpack_from("<6xBxQQ", data, span.start)
        present = [number for number in range(64) if valid >> number & 1]
        unknown = [number for number in present if number not in COLUMNS]
        if unknown:
            raise Malformed(f"metadata has an unknown table {unknown[0]:#x}")
        offset = span.start + 24
        end = span.start + span.size_bytes
        if offset + 4 * len(present) > end:
            raise Malformed("metadata row counts pass the end of the table stream")
        counts = dict(zip(present, unpack_from(f"<{len(present)}I", data, offset), strict=True))
        offset += 4 * len(present) + (4 if heap_sizes & _EXTRA_DATA else 0)
        self._widths = _Widths({**(external_counts or {}), **counts}, heap_sizes, minimal_delta)
        self._shapes = self._place(counts, offset, end)
        self._lists: dict[tuple[int, int], list[int]] = {}
        self._orders: dict[tuple[int, int], tuple[list[int], list[int]]] = {}

    def _place(self, counts: dict[int, int], offset: int, end: int) -> dict[int, _Shape]:
        shapes: dict[int, _Shape] = {}
        for number, count in counts.items():
            columns = COLUMNS[Table(number)].split()
            shape = _Shape(columns, [self._widths.of(column) for column in columns], count, offset)
            if count > 0xFFFFFF or offset + count * shape.row_size > end:
                raise Malformed(f"metadata table {Table(number).name} claims {count} rows, more than the stream holds")
            offset += count * shape.row_size
            shapes[number] = shape
        return shapes

    def count(self, table: int) -> int:
        """Rows of `table`; 0 when the table is absent."""
        shape = self._shapes.get(table)
        return shape.count if shape else 0

    def row(self, table: int, rid: int) -> tuple[int, ...]:
        """Raw column values of row `rid` (1-based); coded indexes are not decoded. Raises Malformed when there is no such row."""
        shape = self._shapes.get(table)
        if shape is None or not 0 < rid <= shape.count:
            raise Malformed(f"metadata has no row {rid} in table {table:#x} ({self.count(table)} rows)")
        return shape.unpack(self._data, shape.start + (rid - 1) * shape.row_size)

    def token(self, table: int, column: int, value: int) -> int:
        """The token that a raw coded-index `value` of this column means; 0 for null. Raises Malformed on a tag not in use."""
        shape = self._shapes.get(table)
        coded = shape.coded[column] if shape else None
        if coded is None:
            raise Malformed(f"column {column} of metadata table {table:#x} is no coded index")
        bits, targets = coded
        tag = value & ((1 << bits) - 1)
        target = targets[tag] if tag < len(targets) else None
        if target is None:
            raise Malformed(f"coded index {value:#x} in metadata table {table:#x} has the tag {tag}, which is not in use")
        return (target << 24 | value >> bits) if value >> bits else 0

    def column(self, table: int, column: int) -> NDArray[Any]:
        """One column of all rows, a strided view of the blob (u8, u16 or u32); empty when the table is absent."""
        shape = self._shapes.get(table)
        if shape is None or shape.count == 0:
            return np.empty(0, dtype="<u4")
        return np.ndarray(
            (shape.count,),
            dtype=f"<u{shape.widths[column]}",
            buffer=self._data,
            offset=shape.start + shape.offsets[column],
            strides=(shape.row_size,),
        )

    def column_list(self, table: int, column: int) -> list[int]:
        """One column of all rows as a list of ints, kept after the first use."""
        key = (table, column)
        values = self._lists.get(key)
        if values is None:
            values = self._lists[key] = self.column(table, column).tolist()
        return values

    def rows_with(self, table: int, column: int, value: int) -> list[int]:
        """Row ids whose raw `column` equals `value`, ascending. First use sorts the column (some tables are unsorted in #- streams)."""
        key = (table, column)
        known = self._orders.get(key)
        if known is None:
            values = self.column(table, column)
            order = np.argsort(values, kind="stable")
            known = self._orders[key] = (values[order].tolist(), (order + 1).tolist())
        values_sorted, rids = known
        return rids[bisect_left(values_sorted, value) : bisect_right(values_sorted, value)]

    def coded(self, index: str, token: int) -> int:
        """The raw value by which a coded index of that name refers to `token`. Raises Malformed if it cannot."""
        bits, targets = CODED_INDEXES[index]
        table = token >> 24
        for tag, target in enumerate(targets):
            if target == table:
                return (token & 0xFFFFFF) << bits | tag
        raise Malformed(f"token {token:#010x} cannot be in a {index} column")


class _Widths:
    """Bytes of a column, which depend on row counts and heap sizes."""

    def __init__(self, counts: dict[int, int], heap_sizes: int, minimal_delta: bool) -> None:
        self._counts = counts
        self._heap_sizes = heap_sizes
        self._minimal_delta = minimal_delta

    def of(self, column: str) -> int:
        """Width in bytes: heap indexes by flag, row ids and coded indexes by the largest table they can refer to."""
        if column in ("u1", "u2", "u4"):
            return int(column[1])
        if self._minimal_delta:
            return 4
        if column in _HEAP_FLAGS:
            return 4 if self._heap_sizes & _HEAP_FLAGS[column] else 2
        if column in CODED_INDEXES:
            bits, targets = CODED_INDEXES[column]
            largest = max(self._counts.get(target, 0) for target in targets if target is not None)
            return 4 if largest >= 1 << (16 - bits) else 2
        return 4 if self._counts.get(Table[column], 0) >= 1 << 16 else 2
