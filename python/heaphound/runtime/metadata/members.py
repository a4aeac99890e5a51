"""Member lists of the definition tables: which rows belong to which owner, with the indirection of uncompressed (#-) metadata."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from heaphound.errors import Malformed
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.tables import Tables


class _ListColumn(NamedTuple):
    owner: Table
    column: int
    member: Table
    pointer: Table | None


FIELDS = _ListColumn(Table.TYPE_DEF, 4, Table.FIELD, Table.FIELD_PTR)
METHODS = _ListColumn(Table.TYPE_DEF, 5, Table.METHOD_DEF, Table.METHOD_PTR)
PARAMS = _ListColumn(Table.METHOD_DEF, 5, Table.PARAM, Table.PARAM_PTR)
EVENTS = _ListColumn(Table.EVENT_MAP, 1, Table.EVENT, Table.EVENT_PTR)
PROPERTIES = _ListColumn(Table.PROPERTY_MAP, 1, Table.PROPERTY, Table.PROPERTY_PTR)
LOCAL_VARIABLES = _ListColumn(Table.LOCAL_SCOPE, 2, Table.LOCAL_VARIABLE, None)
LOCAL_CONSTANTS = _ListColumn(Table.LOCAL_SCOPE, 3, Table.LOCAL_CONSTANT, None)


class MemberLists:
    """Ranges "from this row's list column to the next row's" of one set of tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._owners: dict[tuple[int, int], dict[int, int]] = {}

    def of(self, kind: _ListColumn, owner_rid: int, first: int | None = None) -> Sequence[int]:
        """Row ids of the members of row `owner_rid`. `first`, if known, spares a decode. Raises Malformed on a bad range."""
        tables = self._tables
        start = tables.row(kind.owner, owner_rid)[kind.column] if first is None else first
        redirected = kind.pointer is not None and tables.count(kind.pointer) > 0
        total = tables.count(kind.pointer if redirected and kind.pointer is not None else kind.member)
        stop = tables.row(kind.owner, owner_rid + 1)[kind.column] if owner_rid < tables.count(kind.owner) else total + 1
        if start == stop or start == total == 0:  # nil where metadata is being written and no member was emitted
            return range(0)
        if not 0 < start <= stop <= total + 1:
            raise Malformed(f"row {owner_rid} of {kind.owner.name} owns {kind.member.name} rows {start} to {stop - 1} of {total}")
        if redirected and kind.pointer is not None:
            pointer = kind.pointer
            return tuple(tables.row(pointer, rid)[0] for rid in range(start, stop))
        return range(start, stop)

    def owner(self, kind: _ListColumn, member_rid: int) -> int:
        """Row id of the owner of a member. Raises Malformed when no owner's range holds it."""
        tables = self._tables
        if not 0 < member_rid <= tables.count(kind.member):
            raise Malformed(f"there is no row {member_rid} in {kind.member.name}")
        position = self._position(kind, member_rid)
        owner = bisect_right(tables.column_list(kind.owner, kind.column), position)
        if owner == 0:
            raise Malformed(f"row {member_rid} of {kind.member.name} belongs to no row of {kind.owner.name}")
        return owner

    def _position(self, kind: _ListColumn, member_rid: int) -> int:
        """Place of a member in its pointer table, or the row id itself where there is none."""
        if kind.pointer is None or not self._tables.count(kind.pointer):
            return member_rid
        key = (kind.owner, kind.column)
        places = self._owners.get(key)
        if places is None:
            targets = self._tables.column_list(kind.pointer, 0)
            places = self._owners[key] = {target: index for index, target in enumerate(targets, 1)}
        return places.get(member_rid, 0)
