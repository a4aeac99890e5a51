"""Mutated metadata, PDBs and code: every read ends, and ends with a value, Malformed or Unreadable."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime import signatures
from heaphound.runtime.calls import CodeModule
from heaphound.runtime.metadata import Metadata
from heaphound.runtime.metadata.attributes import attribute_type, fixed_arguments
from heaphound.runtime.metadata.debug_directory import code_view, embedded_pdb, pdb_checksums
from heaphound.runtime.metadata.display_names import display_method
from heaphound.runtime.metadata.events import events, properties
from heaphound.runtime.metadata.member_names import member
from heaphound.runtime.metadata.schema import Table
from heaphound.runtime.metadata.type_names import MetadataResolver, type_name, type_token_name
from heaphound.runtime.pe import PEImage
from heaphound.runtime.portable_pdb import PortablePdb
from tests.unit.metadata.images import SHOP_CACHING, ZOO, image

FILE = SHOP_CACHING.read_bytes()
BLOB = image(ZOO).metadata_bytes()
PDB = ZOO.with_suffix(".pdb").read_bytes()
ROWS = 40  # of each table; mutations hit the small tables of these programs often enough


def attempt(read: Callable[..., object], *arguments: object) -> None:
    try:
        read(*arguments)
    except (Malformed, Unreadable):
        return


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Up to eight bytes replaced, most of them in the headers and table stream at the front; or the end cut off."""
    position = st.one_of(st.integers(0, min(len(data) - 1, 400)), st.integers(0, len(data) - 1))
    changes = st.lists(st.tuples(position, st.integers(0, 255)), min_size=1, max_size=8)

    def apply(edits: list[tuple[int, int]]) -> bytes:
        copy = bytearray(data)
        for index, value in edits:
            copy[index] = value
        return bytes(copy)

    return st.one_of(st.builds(apply, changes), st.builds(lambda end: data[:end], st.integers(0, len(data))))


READS: list[tuple[Table, Callable[[Metadata, int], object]]] = [
    (Table.MODULE, lambda data, _: [data.module(), data.assembly(), data.find_type("Zoo.Cat+Kitten")]),
    (Table.TYPE_DEF, lambda data, rid: data.typedef(rid)),
    (Table.TYPE_DEF, lambda data, rid: data.typedef_full_name(rid)),
    (Table.TYPE_DEF, lambda data, rid: [data.interfaces(rid), data.nested(rid), data.class_layout(rid)]),
    (Table.TYPE_DEF, events),
    (Table.TYPE_DEF, properties),
    (Table.TYPE_DEF, lambda data, rid: data.generic_params(Table.TYPE_DEF << 24 | rid)),
    (Table.TYPE_REF, lambda data, rid: data.typeref_full_name(rid)),
    (Table.TYPE_SPEC, lambda data, rid: type_token_name(data, Table.TYPE_SPEC << 24 | rid)),
    (Table.FIELD, lambda data, rid: type_name(signatures.field_type(data.field(rid).signature), MetadataResolver(data))),
    (Table.FIELD, lambda data, rid: [data.field_owner(rid), data.constant(Table.FIELD << 24 | rid)]),
    (Table.FIELD, lambda data, rid: [data.field_rva(rid), data.field_offset(rid)]),
    (Table.FIELD, lambda data, rid: member(data, Table.FIELD << 24 | rid)),
    (Table.METHOD_DEF, lambda data, rid: signatures.method_signature(data.methoddef(rid).signature)),
    (Table.METHOD_DEF, display_method),
    (Table.METHOD_DEF, lambda data, rid: member(data, Table.METHOD_DEF << 24 | rid)),
    (Table.MEMBER_REF, lambda data, rid: member(data, Table.MEMBER_REF << 24 | rid)),
    (Table.METHOD_SPEC, lambda data, rid: member(data, Table.METHOD_SPEC << 24 | rid)),
    (Table.CUSTOM_ATTRIBUTE, lambda data, rid: attribute_type(data, data.custom_attribute(rid))),
    (Table.CUSTOM_ATTRIBUTE, lambda data, rid: fixed_arguments(data, data.custom_attribute(rid))),
    (Table.STAND_ALONE_SIG, lambda data, rid: signatures.local_variables(data.standalone_signature(rid))),
    (Table.ASSEMBLY_REF, lambda data, rid: data.assemblyref(rid)),
]
PDB_READS: list[Callable[[PortablePdb, int], object]] = [
    lambda pdb, rid: pdb.location(rid, 5),
    lambda pdb, rid: [pdb.local_variables(rid), pdb.local_constants(rid)],
    lambda pdb, rid: [pdb.kickoff_method(rid), pdb.hoisted_scopes(rid)],
]


@settings(max_examples=150, deadline=None)
@given(mutations(BLOB))
def test_mutated_metadata(blob: bytes) -> None:
    try:
        data = Metadata(blob)
    except Malformed:
        return
    for table, read in READS:
        for rid in range(1, min(data.tables.count(table), ROWS) + 1):
            attempt(read, data, rid)


@settings(max_examples=100, deadline=None)
@given(mutations(PDB))
def test_mutated_pdb(blob: bytes) -> None:
    try:
        pdb = PortablePdb(blob)
    except Malformed:
        return
    attempt(pdb.documents)
    for rid in range(1, ROWS + 1):
        for read in PDB_READS:
            attempt(read, pdb, rid)


@settings(max_examples=150, deadline=None)
@given(mutations(FILE))
def test_mutated_image(data: bytes) -> None:
    try:
        whole = PEImage.from_bytes(data)
        module = CodeModule("mutated", whole)
        attempt(lambda: [code_view(whole), embedded_pdb(whole), pdb_checksums(whole)])
        for rid in module.bodies:
            module.flow(rid)
        attempt(lambda: module.tokens("StackExchange.Redis.ConnectionMultiplexer", "add_ConnectionFailed"))
    except (Malformed, Unreadable):
        return


def test_types_that_enclose_each_other() -> None:
    """A loop in NestedClass: the name is refused, not looked for forever."""
    data = Metadata(BLOB)
    nested = data.tables.column_list(Table.NESTED_CLASS, 0)
    first = nested[0]
    # rows are (nested, enclosing) as u16: make the first nested type enclose itself
    row = b"".join(value.to_bytes(2, "little") for value in data.tables.row(Table.NESTED_CLASS, 1))
    start = BLOB.rindex(row)
    looped = Metadata(BLOB[:start] + row[:2] * 2 + BLOB[start + 4 :])
    assert looped.enclosing(first) == first
    with pytest.raises(Malformed, match="loop"):
        looped.typedef_full_name(first)
