"""MethodTable, EEClass, lookup maps, TypeDescs and headers, byte by byte, with the real layouts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.method_tables import MethodTables
from heaphound.runtime.object_header import read_object_header
from heaphound.runtime.packed_fields import packed_field
from heaphound.runtime.typedesc import read_typedesc
from tests.unit.runtime.written_memory import WrittenImage, written_memory

GENERIC_INSTANTIATION = 0x10  # enum_flag_GenericsMask_GenericInst of src/coreclr/vm/methodtable.h

OLD, NEW = ["6.0", "8.0"], ["9.0", "10.0"]
TABLE, CLASS, OTHER = 0x10000, 0x20000, 0x30000


def layout_of(version: str) -> Layout:
    return layout_file(f"{version}.0", "x64", None).layout


def process(version: str) -> tuple[WrittenImage, MethodTables, Layout]:
    image, memory = written_memory()
    for address in (TABLE, CLASS, OTHER):
        image.write(address, bytes(0x400))
    layout = layout_of(version)
    return image, MethodTables(memory, layout), layout


def link(image: WrittenImage, layout: Layout, table: int = TABLE, eeclass: int = CLASS) -> None:
    image.words(table + layout.offset("MethodTable", "EEClassOrCanonMT"), eeclass)
    image.words(eeclass + layout.offset("EEClass", "MethodTable"), table)


@pytest.mark.parametrize("version", OLD + NEW)
def test_a_shared_instantiation_leads_to_the_class_of_its_canonical_form(version: str) -> None:
    image, tables, layout = process(version)
    link(image, layout, OTHER)
    tag = 2 if version == "6.0" else 1  # UNION_METHODTABLE of methodtable.h
    image.words(TABLE + layout.offset("MethodTable", "EEClassOrCanonMT"), OTHER | tag)
    assert tables.canonical(TABLE) == OTHER
    assert tables.canonical(OTHER) == OTHER
    assert tables.eeclass(TABLE) == tables.eeclass(OTHER) == CLASS


@pytest.mark.parametrize("version", OLD + NEW)
def test_what_is_no_method_table_is_told_by_its_class(version: str) -> None:
    image, tables, layout = process(version)
    link(image, layout)
    image.words(CLASS + layout.offset("EEClass", "MethodTable"), OTHER)
    with pytest.raises(Malformed, match="no MethodTable at 0x10000"):
        tables.eeclass(TABLE)
    with pytest.raises(Unreadable):
        tables.eeclass(0x999000)


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize(
    ("flags2", "virtuals", "slot"),
    [
        (0b10000, 4, 48),  # alone: first fixed slot
        (0b10001, 4, 56),  # behind PerInstInfo
        (0b10010, 4, 48),  # the interface map has the second fixed slot, so the first is free
        (0b10011, 4, 64 + 8),  # both fixed slots taken, one vtable chunk
        (0b10111, 9, 64 + 16 + 8),  # a dispatch map before it, two chunks
        (0b11111, 17, 64 + 24 + 16),
    ],
)
def test_the_module_of_an_instantiation_that_lives_elsewhere(version: str, flags2: int, virtuals: int, slot: int) -> None:
    """Places by hand from the rule in methodtable.cpp; a collectible instantiation over a value type is the case in real programs."""
    image, tables, layout = process(version)
    link(image, layout)
    image.write(TABLE + layout.offset("MethodTable", "MTFlags2"), flags2.to_bytes(2, "little"))
    image.write(TABLE + layout.offset("MethodTable", "NumVirtuals"), virtuals.to_bytes(2, "little"))
    image.words(TABLE + layout.offset("MethodTable", "Module"), 0x111)
    image.words(TABLE + slot, 0x222)
    generic = GENERIC_INSTANTIATION
    assert tables.module(TABLE, generic) == 0x222
    assert tables.module(TABLE, 0) == 0x111  # a plain type has no such slot, whatever lies there
    assert tables.loader_module(TABLE) == 0x111


@pytest.mark.parametrize("version", NEW)
def test_the_module_is_in_the_method_table_since_9(version: str) -> None:
    image, tables, layout = process(version)
    image.words(TABLE + layout.offset("MethodTable", "Module"), 0x111)
    image.words(TABLE + layout.offset("MethodTable", "AuxiliaryData"), OTHER)
    image.words(OTHER + layout.offset("MethodTableAuxiliaryData", "LoaderModule"), 0x333)
    assert tables.module(TABLE, GENERIC_INSTANTIATION) == 0x111
    assert tables.loader_module(TABLE) == 0x333


def test_tokens() -> None:
    image, tables, layout = process("8.0")
    image.write(TABLE + layout.offset("MethodTable", "TypeDefToken"), b"\x34\x12")
    assert tables.token_row(TABLE) == 0x1234
    image.write(TABLE + layout.offset("MethodTable", "TypeDefToken"), b"\xff\xff")
    assert tables.token_row(TABLE) is None
    image, tables, layout = process("9.0")
    image.write(TABLE + layout.offset("MethodTable", "MTFlags2"), b"\x02\x56\x34\x12")
    assert tables.token_row(TABLE) == 0x123456


@pytest.mark.parametrize("version", OLD + NEW)
def test_arguments_of_the_innermost_dictionary(version: str) -> None:
    image, tables, layout = process(version)
    image.words(TABLE + layout.offset("MethodTable", "PerInstInfo"), OTHER + 8)
    image.write(OTHER, bytes(4) + b"\x02\x00\x03\x00")  # two dictionaries, three arguments
    image.words(OTHER + 8, OTHER + 0x100, OTHER + 0x200)
    image.words(OTHER + 0x200, 1, 2, 3)
    assert tables.arguments(TABLE) == (1, 2, 3)
    image.write(OTHER + 6, b"\xff\xff")
    with pytest.raises(LimitExceeded, match="65535 arguments"):
        tables.arguments(TABLE)
    image.write(OTHER + 4, b"\x00\x00")
    with pytest.raises(Malformed, match="0 dictionaries"):
        tables.arguments(TABLE)


def packed(values: list[int]) -> bytes:
    """Eleven numbers as packedfields.inl packs them."""
    bits, at = 0, 0
    for value in values:
        length = max(1, value.bit_length())
        bits |= (length - 1) << at | value << (at + 5)
        at += 5 + length
    return bits.to_bytes(-(-at // 8) + 8, "little")


@given(st.lists(st.integers(min_value=0, max_value=0xFFFFFFFF), min_size=11, max_size=11))
def test_packed_counts(values: list[int]) -> None:
    image, memory = written_memory()
    image.write(0x1000, packed(values))
    image.write(0x2000, b"".join(value.to_bytes(4, "little") for value in values))
    assert [packed_field(memory, 0x1000, index, True) for index in range(11)] == values
    assert [packed_field(memory, 0x2000, index, False) for index in range(11)] == values
    with pytest.raises(Malformed, match="no packed field 11"):
        packed_field(memory, 0x1000, 11, True)


@pytest.mark.parametrize("version", OLD + NEW)
def test_field_counts(version: str) -> None:
    image, tables, layout = process(version)
    if version in NEW:
        image.write(CLASS + layout.offset("EEClass", "NumInstanceFields"), b"\x07\x00")
        image.write(CLASS + layout.offset("EEClass", "NumStaticFields"), b"\x03\x00")
    else:
        image.write(CLASS + layout.offset("EEClass", "FieldsArePacked"), b"\x01\x38")
        image.write(CLASS + 0x38, packed([7, 90, 3, 0, 0, 0, 0, 0, 0, 0, 0]))
    assert tables.field_counts(CLASS) == (7, 3)


def chained_map(image: WrittenImage, layout: Layout, blocks: list[list[int]], flags: int) -> int:
    """Address of a LookupMap with these entries per block."""
    addresses = [0x50000 + 0x1000 * index for index in range(len(blocks))]
    for address, entries, following in zip(addresses, blocks, [*addresses[1:], 0], strict=True):
        image.write(address, bytes(64))
        image.words(address + layout.offset("ModuleLookupMap", "Next"), following)
        image.words(address + layout.offset("ModuleLookupMap", "TableData"), image.words(address + 0x100, *entries))
        image.words(address + layout.offset("ModuleLookupMap", "Count"), len(entries))
        image.words(address + layout.offset("ModuleLookupMap", "SupportedFlagsMask"), flags)
    return addresses[0]


@pytest.mark.parametrize("version", OLD + NEW)
def test_lookup_maps_over_their_blocks_without_flag_bits(version: str) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    first = chained_map(image, layout, [[0, 0x101, 0], [0x201], [0, 0x300]], 1)
    maps = LookupMaps(memory, layout)
    assert list(maps.items(first)) == [(1, 0x100), (3, 0x200), (5, 0x300)]
    assert [maps.get(first, row) for row in range(8)] == [0, 0x100, 0, 0x200, 0, 0x300, 0, 0]


def test_a_lookup_map_that_is_a_loop() -> None:
    image, memory = written_memory()
    layout = layout_of("9.0")
    first = chained_map(image, layout, [[1], [2]], 0)
    image.words(0x51000 + layout.offset("ModuleLookupMap", "Next"), first)
    with pytest.raises(Malformed, match="form a loop"):
        list(LookupMaps(memory, layout).items(first))
    image.words(0x51000 + layout.offset("ModuleLookupMap", "Next"), 0x51000)
    with pytest.raises(LimitExceeded, match="more than 4096 blocks"):
        list(LookupMaps(memory, layout).items(first))
    image.words(first + layout.offset("ModuleLookupMap", "Count"), 0xFFFFFFFF)
    with pytest.raises(LimitExceeded, match="4294967295 entries"):
        LookupMaps(memory, layout).get(first, 5)


@pytest.mark.parametrize("version", OLD + NEW)
def test_type_descs(version: str) -> None:
    image, memory = written_memory()
    layout = layout_of(version)
    for address in (TABLE, CLASS, OTHER):
        image.write(address, bytes(0x100))
    image.words(TABLE, 0x200F)
    image.words(TABLE + layout.offset("ParamTypeDesc", "TypeArg"), 0x5000)
    image.words(CLASS, 0x13)
    image.words(CLASS + layout.offset("TypeVarTypeDesc", "Module"), 0x6000)
    image.write(CLASS + layout.offset("TypeVarTypeDesc", "Token"), (0x2A000007).to_bytes(4, "little"))
    image.write(OTHER, b"\x1b")
    image.write(OTHER + layout.offset("FnPtrTypeDesc", "NumArgs"), b"\x02")
    image.words(OTHER + layout.offset("FnPtrTypeDesc", "RetAndArgTypes"), 1, 2, 3)
    pointer, parameter, function = (read_typedesc(memory, layout, address) for address in (TABLE, CLASS, OTHER))
    assert (pointer.element_type, pointer.handles) == (0x0F, (0x5000,))
    assert (parameter.module, parameter.token) == (0x6000, 0x2A000007)
    assert function.handles == (1, 2, 3)
    image.words(TABLE, 0x55)
    with pytest.raises(Malformed, match="its kind is 0x55"):
        read_typedesc(memory, layout, TABLE)
    image.write(OTHER + layout.offset("FnPtrTypeDesc", "NumArgs"), b"\xff\xff\xff\x7f")
    with pytest.raises(LimitExceeded, match="2147483647 parameters"):
        read_typedesc(memory, layout, OTHER)


@pytest.mark.parametrize(
    ("version", "word", "expected"),
    [
        ("9.0", 0, (None, None, None, 0)),
        ("9.0", 0x0C000000 | 0x12345, (0x12345, None, None, 0)),
        ("9.0", 0x08000000 | 77, (None, 77, None, 0)),
        ("9.0", 0x20005, (None, None, 5, 3)),
        ("6.0", 0x805, (None, None, 5, 3)),
        ("9.0", 0x10000005, (None, None, None, 0)),  # the spin bit: the word is being changed
    ],
)
def test_object_headers(version: str, word: int, expected: tuple[int | None, int | None, int | None, int]) -> None:
    image, memory = written_memory()
    image.write(0x1000, bytes(4) + word.to_bytes(4, "little") + bytes(8))
    header = read_object_header(memory, layout_of(version), 0x1008)
    assert (header.hash_code, header.sync_block_index, header.thin_lock_owner, header.thin_lock_recursion) == expected
