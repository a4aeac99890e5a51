"""Portable PDBs: source lines, local variable names and state machines of methods.

Source: "Portable PDB v1.0: Format Specification" (dotnet/runtime, docs/design/specs/PortablePdb-Metadata.md).
"""

from bisect import bisect_right
from dataclasses import dataclass
from struct import unpack_from
from typing import Final, NamedTuple
from uuid import UUID

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import BlobHeap, GuidHeap, Span, StringHeap, compressed_signed, compressed_unsigned
from heaphound.runtime.metadata.members import LOCAL_CONSTANTS, LOCAL_VARIABLES, MemberLists
from heaphound.runtime.metadata.root import parse_root
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.tables import Tables

HIDDEN_LINE: Final = 0xFEEFEE
_HOISTED_LOCALS: Final = UUID("6da9a61e-f8c7-4874-be62-68bc5630df71")
_NOTHING = Span(0, 0)


class SequencePoint(NamedTuple):
    """IL from `offset` on comes from these lines of `document`; hidden points (generated code) have `start_line` HIDDEN_LINE."""

    offset: int
    document: int
    start_line: int
    start_column: int
    end_line: int
    end_column: int

    @property
    def is_hidden(self) -> bool:
        """Whether the compiler generated the code, with no source behind it."""
        return self.start_line == HIDDEN_LINE


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A place in a source file, as the compiler knew its path."""

    file: str
    start_line: int
    end_line: int
    start_column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class LocalVariable:
    """A named local: slot number in the method's local signature, and the IL range in which the name holds."""

    slot: int
    name: str
    start: int
    end: int
    hidden: bool


@dataclass(frozen=True, slots=True)
class HoistedScope:
    """IL range of MoveNext in which a local that became a field of a state machine is in scope."""

    start: int
    end: int


class PortablePdb:
    """One portable PDB. Rows are decoded on demand; every method raises Malformed on bytes that make no sense."""

    def __init__(self, read: bytes | bytearray | memoryview) -> None:
        data = bytes(read)
        root = parse_root(data)
        streams = root.streams
        pdb, table_stream = streams.get("#Pdb"), streams.get("#~")
        if pdb is None or table_stream is None or pdb.size_bytes < 32:
            raise Malformed("portable PDB has no #Pdb or #~ stream")
        self.pdb_id = data[pdb.start : pdb.start + 20]
        self.entry_point: int = unpack_from("<I", data, pdb.start + 20)[0]
        self.tables = Tables(data, table_stream, external_counts=_external_counts(data, pdb))
        self._lists = MemberLists(self.tables)
        self._strings = StringHeap(data, streams.get("#Strings", _NOTHING))
        self._blobs = BlobHeap(data, streams.get("#Blob", _NOTHING))
        self._guids = GuidHeap(data, streams.get("#GUID", _NOTHING))
        self._documents: dict[int, str] = {}
        self._points: dict[int, list[SequencePoint]] = {}

    def document(self, rid: int) -> str:
        """Path of a source file as the compiler wrote it."""
        name = self._documents.get(rid)
        if name is None:
            name = self._documents[rid] = self._document_name(self._blobs[self.tables.row(Table.DOCUMENT, rid)[0]])
        return name

    def _document_name(self, blob: bytes) -> str:
        if not blob:
            return ""
        separator = blob[:1].decode("ascii", "replace") if blob[0] else ""
        offset = 1
        parts = []
        while offset < len(blob):
            index, offset = compressed_unsigned(blob, offset)
            parts.append(self._blobs[index].decode("utf-8", "replace"))
        return separator.join(parts)

    def documents(self) -> list[str]:
        """Paths of all source files."""
        return [self.document(rid) for rid in range(1, self.tables.count(Table.DOCUMENT) + 1)]

    def sequence_points(self, method_rid: int) -> list[SequencePoint]:
        """Points of a method in order of IL offset; empty for a method without source. Kept after the first use."""
        points = self._points.get(method_rid)
        if points is None:
            document, blob = self.tables.row(Table.METHOD_DEBUG_INFORMATION, method_rid)
            points = self._points[method_rid] = _decode_points(self._blobs[blob], document)
        return points

    def location(self, method_rid: int, il_offset: int) -> SourceLocation | None:
        """The source of an IL offset: its sequence point, or the nearest visible one before it. None for a method without source."""
        points = self.sequence_points(method_rid)
        index = bisect_right(points, il_offset, key=lambda point: point.offset) - 1
        while index >= 0 and points[index].is_hidden:
            index -= 1
        return self._location(points[index]) if index >= 0 else None

    def first_location(self, method_rid: int) -> SourceLocation | None:
        """Where a method's code begins in source; None for a method without source."""
        visible = next((point for point in self.sequence_points(method_rid) if not point.is_hidden), None)
        return self._location(visible) if visible is not None else None

    def _location(self, point: SequencePoint) -> SourceLocation:
        return SourceLocation(self.document(point.document), point.start_line, point.end_line, point.start_column, point.end_column)

    def local_variables(self, method_rid: int) -> list[LocalVariable]:
        """Named locals of a method with their scopes, outer scopes first."""
        variables = []
        for scope in self.tables.rows_with(Table.LOCAL_SCOPE, 0, method_rid):
            _, _, first, _, start, length = self.tables.row(Table.LOCAL_SCOPE, scope)
            for rid in self._lists.of(LOCAL_VARIABLES, scope, first):
                attributes, slot, name = self.tables.row(Table.LOCAL_VARIABLE, rid)
                variables.append(LocalVariable(slot, self._strings[name], start, start + length, bool(attributes & 1)))
        return variables

    def local_constants(self, method_rid: int) -> list[str]:
        """Names of a method's local constants."""
        names: list[str] = []
        for scope in self.tables.rows_with(Table.LOCAL_SCOPE, 0, method_rid):
            first = self.tables.row(Table.LOCAL_SCOPE, scope)[3]
            rows = self._lists.of(LOCAL_CONSTANTS, scope, first)
            names.extend(self._strings[self.tables.row(Table.LOCAL_CONSTANT, rid)[0]] for rid in rows)
        return names

    def kickoff_method(self, move_next_rid: int) -> int | None:
        """MethodDef row id of the async or iterator method whose body became this MoveNext; None if it is no such MoveNext."""
        found = self.tables.rows_with(Table.STATE_MACHINE_METHOD, 0, move_next_rid)
        return self.tables.row(Table.STATE_MACHINE_METHOD, found[0])[1] if found else None

    def move_next_method(self, kickoff_rid: int) -> int | None:
        """MethodDef row id of the MoveNext that holds the body of an async or iterator method; None for other methods."""
        found = self.tables.rows_with(Table.STATE_MACHINE_METHOD, 1, kickoff_rid)
        return self.tables.row(Table.STATE_MACHINE_METHOD, found[0])[0] if found else None

    def hoisted_scopes(self, move_next_rid: int) -> list[HoistedScope]:
        """Scopes of the locals hoisted into a state machine, in the order of the fields' numbers (`<name>5__N` has index N-1)."""
        blob = self.custom_information(Table.METHOD_DEF << 24 | move_next_rid, _HOISTED_LOCALS)
        if blob is None:
            return []
        pairs = (unpack_from("<II", blob, offset) for offset in range(0, len(blob) // 8 * 8, 8))
        return [HoistedScope(start, start + length) for start, length in pairs]

    def custom_information(self, parent: int, kind: UUID) -> bytes | None:
        """Blob of a CustomDebugInformation row on a token; None when there is none of that kind."""
        table = Table.CUSTOM_DEBUG_INFORMATION
        for row in self.tables.rows_with(table, 0, self.tables.coded("HasCustomDebugInformation", parent)):
            _, guid, blob = self.tables.row(table, row)
            if self._guids[guid] == kind:
                return self._blobs[blob]
        return None


def _external_counts(data: bytes, pdb: Span) -> dict[int, int]:
    """Row counts of the type system tables, which decide column widths in the PDB."""
    mask = unpack_from("<Q", data, pdb.start + 24)[0]
    present = [number for number in range(64) if mask >> number & 1]
    if 32 + 4 * len(present) > pdb.size_bytes:
        raise Malformed("portable PDB's row counts pass the end of its #Pdb stream")
    return dict(zip(present, unpack_from(f"<{len(present)}I", data, pdb.start + 32), strict=True))


def _decode_points(blob: bytes, document: int) -> list[SequencePoint]:
    """The sequence points blob: header (local signature, document if the method has several), then delta-coded records."""
    if not blob:
        return []
    _, offset = compressed_unsigned(blob, 0)
    if document == 0:
        document, offset = compressed_unsigned(blob, offset)
    points: list[SequencePoint] = []
    il_offset = line = column = 0
    seen_visible = False
    while offset < len(blob):
        delta, offset = compressed_unsigned(blob, offset)
        if points and delta == 0:
            document, offset = compressed_unsigned(blob, offset)
            continue
        il_offset += delta
        lines, columns, offset = _extent(blob, offset)
        if lines == 0 and columns == 0:
            points.append(SequencePoint(il_offset, document, HIDDEN_LINE, 0, HIDDEN_LINE, 0))
            continue
        read = compressed_signed if seen_visible else compressed_unsigned
        line_delta, offset = read(blob, offset)
        column_delta, offset = read(blob, offset)
        line, column, seen_visible = line + line_delta, column + column_delta, True
        points.append(SequencePoint(il_offset, document, line, column, line + lines, column + columns))
    return points


def _extent(blob: bytes, offset: int) -> tuple[int, int, int]:
    """Lines and columns that a point spans; columns are signed only when it spans several lines."""
    lines, offset = compressed_unsigned(blob, offset)
    columns, offset = (compressed_signed if lines else compressed_unsigned)(blob, offset)
    return lines, columns, offset
