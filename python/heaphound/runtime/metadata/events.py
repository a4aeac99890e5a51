"""Events and properties of a type: rows of the maps joined with their accessors, and an event's backing field."""

from heaphound.runtime.metadata.members import EVENTS, PROPERTIES
from heaphound.runtime.metadata.reader import Metadata
from heaphound.runtime.metadata.rows import EventDef, PropertyDef
from heaphound.runtime.metadata.schema import Table, token

_SETTER = 0x01
_GETTER = 0x02
_ADD = 0x08
_REMOVE = 0x10
_FIRE = 0x20


def events(metadata: Metadata, typedef_rid: int) -> list[EventDef]:
    """Events that a type declares, in metadata order."""
    rows = metadata.tables.rows_with(Table.EVENT_MAP, 0, typedef_rid)
    return [event(metadata, rid) for row in rows for rid in metadata.lists.of(EVENTS, row)]


def event(metadata: Metadata, rid: int) -> EventDef:
    """An event row with its accessors."""
    _, name, event_type = metadata.tables.row(Table.EVENT, rid)
    methods = accessors(metadata, token(Table.EVENT, rid))
    type_token = metadata.tables.token(Table.EVENT, 2, event_type)
    return EventDef(rid, metadata.strings[name], type_token, methods.get(_ADD), methods.get(_REMOVE), methods.get(_FIRE))


def properties(metadata: Metadata, typedef_rid: int) -> list[PropertyDef]:
    """Properties that a type declares, in metadata order."""
    rows = metadata.tables.rows_with(Table.PROPERTY_MAP, 0, typedef_rid)
    return [property_row(metadata, rid) for row in rows for rid in metadata.lists.of(PROPERTIES, row)]


def property_row(metadata: Metadata, rid: int) -> PropertyDef:
    """A property row with its accessors."""
    flags, name, signature = metadata.tables.row(Table.PROPERTY, rid)
    methods = accessors(metadata, token(Table.PROPERTY, rid))
    return PropertyDef(rid, flags, metadata.strings[name], metadata.blobs[signature], methods.get(_GETTER), methods.get(_SETTER))


def accessors(metadata: Metadata, association: int) -> dict[int, int]:
    """MethodDef row ids by MethodSemantics flag, of an event or property token."""
    rows = metadata.tables.rows_with(Table.METHOD_SEMANTICS, 2, metadata.tables.coded("HasSemantics", association))
    found: dict[int, int] = {}
    for row in rows:
        semantics, method, _ = metadata.tables.row(Table.METHOD_SEMANTICS, row)
        found.setdefault(semantics & 0x3F, method)
    return found


def event_of_accessor(metadata: Metadata, method_rid: int) -> EventDef | None:
    """The event whose add, remove or raise method this is; None for other methods."""
    for row in metadata.tables.rows_with(Table.METHOD_SEMANTICS, 1, method_rid):
        semantics, _, association = metadata.tables.row(Table.METHOD_SEMANTICS, row)
        if semantics & (_ADD | _REMOVE | _FIRE):
            return event(metadata, metadata.tables.token(Table.METHOD_SEMANTICS, 2, association) & 0xFFFFFF)
    return None


def event_of_field(metadata: Metadata, field_rid: int) -> EventDef | None:
    """The event that a field stores the subscribers of; None when its type declares no event of a matching name.

    C# names the field as the event; VB appends `Event`. An event with written-out accessors may store anywhere, which names cannot tell.
    """
    name = metadata.field(field_rid).name
    for candidate in events(metadata, metadata.field_owner(field_rid)):
        if name in backing_field_names(candidate.name):
            return candidate
    return None


def backing_field(metadata: Metadata, typedef_rid: int, found: EventDef) -> int | None:
    """Field row id behind an event of a type, by name; None when no field of a matching name is there."""
    names = backing_field_names(found.name)
    own = {metadata.field(rid).name: rid for rid in metadata.typedef(typedef_rid).fields}
    return next((own[name] for name in names if name in own), None)


def backing_field_names(event_name: str) -> tuple[str, ...]:
    """Names under which compilers store an event: C#, VB, and an explicitly implemented one's last part."""
    short = event_name.rpartition(".")[2]
    return (event_name, event_name + "Event", short, f"<{event_name}>k__BackingField")
