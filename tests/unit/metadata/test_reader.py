"""Rows and names of real modules, against their sources."""

import pytest

from heaphound.errors import Malformed
from heaphound.runtime.metadata import Metadata
from heaphound.runtime.metadata.events import backing_field, event_of_field, events, properties
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import MetadataResolver, type_name
from heaphound.runtime.signatures import field_type
from tests.unit.metadata.images import LEAKS, REDIS, SHOP_CACHING, ZOO, image, metadata


def fields_of(data: Metadata, full_name: str) -> dict[str, str]:
    rid = data.find_type(full_name)
    assert rid is not None
    rows = [data.field(row) for row in data.typedef(rid).fields]
    return {row.name: type_name(field_type(row.signature), MetadataResolver(data)) for row in rows}


def test_module_and_assembly_identity() -> None:
    data = metadata(SHOP_CACHING)
    assert data.module().name == "Shop.Caching.dll"
    assembly = data.assembly()
    assert assembly is not None
    assert (assembly.name, assembly.culture) == ("Shop.Caching", "")
    assert [data.assemblyref(rid).name for rid in range(1, data.tables.count(Table.ASSEMBLY_REF) + 1)] == [
        "netstandard",
        "StackExchange.Redis",
    ]


def test_static_class_of_the_source() -> None:
    data = metadata(SHOP_CACHING)
    rid = data.find_typedef("Shop.Caching", "RedisHub")
    assert rid is not None
    row = data.typedef(rid)
    assert row.is_abstract_and_sealed
    assert fields_of(data, "Shop.Caching.RedisHub") == {
        "_gate": "System.Object",
        "_hub": "StackExchange.Redis.ConnectionMultiplexer",
        "ConnectionString": "System.String",
        "FailureCount": "System.Int32",
    }
    names = [data.method_name(method) for method in row.methods]
    assert names[:3] == ["get_Instance", "OnConnectionFailed", "OnConnectionRestored"]
    assert all(data.method_owner(method) == rid for method in row.methods)
    assert all(data.field_owner(field) == rid for field in row.fields)


def test_generic_nested_and_array_field_types() -> None:
    fields = fields_of(metadata(ZOO), "Zoo.Arrays")
    assert fields["Grid"] == "System.Int32[,]"
    assert fields["Jagged"] == "System.Int32[][]"
    assert fields["Nested"] == "Zoo.Cat+Whisker<System.Int32>[]"
    assert fields["Pairs"] == "Zoo.Pair<System.String, Zoo.Point>[]"
    assert fields["Pointers"] == "System.Int32*[]"
    assert fields_of(metadata(ZOO), "Zoo.Outer`1+Inner`1")["Map"] == (
        "System.Collections.Generic.Dictionary<!0, System.Collections.Generic.List<!1>>"
    )


def test_enclosing_and_nested_types_are_inverse() -> None:
    data = metadata(REDIS)
    for rid in range(1, data.tables.count(Table.TYPE_DEF) + 1):
        assert all(data.enclosing(inner) == rid for inner in data.nested(rid))
        assert data.find_type(data.typedef_full_name(rid)) == rid


def test_generic_parameters_with_owner() -> None:
    data = metadata(ZOO)
    rid = data.find_type("Zoo.Outer`1+Inner`1")
    assert rid is not None
    assert [(item.number, item.name) for item in data.generic_params(Table.TYPE_DEF << 24 | rid)] == [(0, "T"), (1, "U")]


def test_literals_and_explicit_layout() -> None:
    data = metadata(ZOO)
    size = data.find_type("Zoo.Size")
    overlay = data.find_type("Zoo.Overlay")
    assert size is not None
    assert overlay is not None
    literals = {data.field(row).name: data.constant(Table.FIELD << 24 | row) for row in data.typedef(size).fields}
    assert literals["value__"] is None
    medium = literals["Medium"]
    assert medium is not None
    assert medium.element_type == 5
    offsets = {data.field(row).name: data.field_offset(row) for row in data.typedef(overlay).fields}
    assert offsets == {"Whole": 0, "Low": 0, "High": 4}


def test_events_know_their_accessors_and_field() -> None:
    data = metadata(REDIS)
    rid = data.find_type("StackExchange.Redis.ConnectionMultiplexer")
    assert rid is not None
    found = {event.name: event for event in events(data, rid)}
    expected = {"ConnectionFailed", "ConnectionRestored", "ErrorMessage", "ConfigurationChanged", "HashSlotMoved", "InternalError"}
    assert expected <= found.keys()
    for name in expected:
        event = found[name]
        assert event.add is not None
        assert data.method_name(event.add) == "add_" + name
        field = backing_field(data, rid, event)
        assert field is not None
        again = event_of_field(data, field)
        assert again is not None
        assert again.name == name


def test_properties_know_their_accessors() -> None:
    data = metadata(SHOP_CACHING)
    rid = data.find_type("Shop.Caching.RedisHub")
    assert rid is not None
    (instance,) = properties(data, rid)
    assert instance.name == "Instance"
    assert instance.getter is not None
    assert data.method_name(instance.getter) == "get_Instance"
    assert instance.setter is None


def test_absent_things_are_none_or_malformed() -> None:
    data = metadata(LEAKS)
    assert data.find_typedef("No.Such", "Type") is None
    assert data.find_type("No.Such+Nested") is None
    for rid in (0, data.tables.count(Table.TYPE_DEF) + 1, 0xFFFFFF):
        with pytest.raises(Malformed):
            data.typedef(rid)
    with pytest.raises(Malformed):
        data.method_owner(0)
    with pytest.raises(Malformed):
        data.strings[1 << 30]
    with pytest.raises(Malformed):
        data.blobs[1 << 30]


def test_nothing_but_headers_is_decoded_at_open() -> None:
    blob = image(REDIS).metadata_bytes()
    tables = Metadata(blob).streams["#~"]
    cut = tables.start + 24 + 4 * 64
    mangled = blob[:cut] + b"\xff" * (tables.size_bytes - 24 - 4 * 64) + blob[tables.start + tables.size_bytes :]
    assert Metadata(mangled).tables.count(Table.TYPE_DEF) == metadata(REDIS).tables.count(Table.TYPE_DEF)
