"""Numbers of a layout that contradict others are named, and refused where they are asked for. The files themselves are free of them."""

from dataclasses import replace

import pytest
from tools.layout_numbers import Number, changes, numbers, value, with_value

from heaphound.errors import LayoutError
from heaphound.layouts.field_kinds import PACKED, alignment_bytes, is_known
from heaphound.layouts.field_order import END, ORDERS, START
from heaphound.layouts.load import ARCHITECTURES, LayoutFile, layout_file, supported_versions
from heaphound.layouts.number_rules import with_broken_numbers
from heaphound.layouts.schema import Field, TypeLayout

FILES = [(version, machine) for machine in ARCHITECTURES for version in supported_versions(machine)]


def file_of(version: str, machine: str = "x64") -> LayoutFile:
    return layout_file(f"{version}.20", machine, None)


def broken_by(source: LayoutFile) -> dict[str, str]:
    return dict(with_broken_numbers(source.layout).broken)


@pytest.mark.parametrize(("version", "machine"), FILES)
def test_no_number_of_a_file_contradicts_another(version: str, machine: str) -> None:
    assert broken_by(file_of(version, machine)) == {}
    assert broken_by(layout_file(f"{version}.0", machine, None)) == {}


@pytest.mark.parametrize(("version", "machine"), FILES)
def test_half_a_word_off_no_field_as_wide_as_a_word_passes(version: str, machine: str) -> None:
    source = file_of(version, machine)
    wide = [number for number in numbers(source) if number.kind == "offset" and alignment_bytes(number.name) >= 8]
    assert len(wide) > 100
    for number in wide:
        for delta in (4, -4):
            assert str(number) in broken_by(with_value(source, number, max(value(source, number) + delta, 1))), number


@pytest.mark.parametrize("version", ["3.1", "10.0"])
def test_most_changes_of_one_number_are_named_by_that_number_the_rest_in_its_structure(version: str) -> None:
    source = file_of(version)
    tried = [(number, changed) for number in numbers(source) if number.kind != "global" for _, changed in changes(source, number)]
    named = [str(number) in broken_by(changed) for number, changed in tried]
    for number, changed in tried:
        found = broken_by(changed)
        assert not found or str(number) in found or any(number.structure in name for name in found), number
    assert sum(named) > 0.7 * len(tried)


def test_every_row_is_of_some_file() -> None:
    """A row that no file has all fields of would hold nothing."""
    layouts = [file_of(version, machine).layout for version, machine in FILES]
    for rows in ORDERS:
        for row in rows:
            fields = [item.partition(".")[::2] for item in row if isinstance(item, str) and item not in (START, END)]
            assert any(all(layout.has(*field) for field in fields) for layout in layouts), row


def test_a_broken_number_is_refused_with_the_reason_and_others_are_not() -> None:
    source = file_of("8.0")
    number = Number("offset", "GCFrame.NumObjRefs")
    layout = with_broken_numbers(with_value(source, number, value(source, number) + 4).layout)
    with pytest.raises(LayoutError, match=r"GCFrame.NumObjRefs: it is 28, while what is declared before it ends at 24"):
        layout.offset("GCFrame", "NumObjRefs")
    assert layout.has("GCFrame", "NumObjRefs")
    assert layout.offset("Thread", "Id") == 32


@pytest.mark.parametrize(
    ("version", "number", "changed", "sentence"),
    [
        (
            "8.0",
            Number("constant", "ObjectToMethodTableUnmask"),
            6,
            "ObjectToMethodTableUnmask: 0x6 is not a run of bits from the lowest on",
        ),
        ("8.0", Number("constant", "MethodTableFlags.HasFinalizer"), 3, "MethodTableFlags.HasFinalizer: 3 is not one bit"),
        ("8.0", Number("constant", "MethodTableFlags.StaticsMask"), 7, "MethodTableFlags.StaticsMask: 0x7 is not of two bits"),
        ("8.0", Number("constant", "ObjectHeader.HashCode"), 1, "ObjectHeader.HashCode: it does not begin at the bit where"),
        ("8.0", Number("constant", "HandleTable.HandlesPerBlock"), 65, "TableSegment.Values: 120 blocks of 65 handles"),
        (
            "8.0",
            Number("constant", "VTableIndex.HijackFrame"),
            38,
            "VTableIndex.HijackFrame: the classes of Frames are not numbered in a row",
        ),
        ("3.1", Number("constant", "VTableIndex.ExceptionFilterFrame"), 59, "VTableIndex.ExceptionFilterFrame: the classes of Frames"),
        ("10.0", Number("constant", "ExceptionFilterFrameIdentifier"), 19, "ExceptionFilterFrameIdentifier: the classes of Frames"),
        ("8.0", Number("offset", "MethodDesc.Flags"), 5, "MethodDesc.Flags: it is 5, while what is declared before it ends at 6"),
        ("8.0", Number("offset", "MethodTable.NumVirtuals"), 13, "MethodTable.NumVirtuals: it begins at 13, which is no multiple of 2"),
        ("8.0", Number("offset", "Thread.Id"), 14, "Thread.Id: it begins at 14, which is no multiple of 4"),
        (
            "8.0",
            Number("offset", "Module.Assembly"),
            776,
            "Module.Assembly: it begins at 776, and Module.TypeDefToMethodTableMap ends at 784",
        ),
        ("8.0", Number("size", "FieldDesc"), 24, "size of FieldDesc: it is 24, while what is declared before it ends at 16"),
        (
            "10.0",
            Number("offset", "TableSegment.NextSegment"),
            1992,
            "TableSegment.NextSegment: it begins at 1992, with 120 blocks and 12 kinds",
        ),
    ],
)
def test_the_sentence_names_the_number(version: str, number: Number, changed: int, sentence: str) -> None:
    found = broken_by(with_value(file_of(version), number, changed))
    assert sentence in found[str(number)]


def test_a_kind_of_handles_too_few_or_too_many_is_noticed() -> None:
    source = file_of("10.0")
    for kinds in (source.layout.handle_kinds[:-2], (*source.layout.handle_kinds, "Another")):
        assert "TableSegment.NextSegment" in broken_by(replace(source, layout=replace(source.layout, handle_kinds=kinds)))


def test_what_the_runtime_says_of_itself_is_not_questioned() -> None:
    """It has unions, and two structures under one name; the file's own numbers are held against it where headers declare the order."""
    layout = file_of("9.0").layout
    own = layout.with_types({"Thread": TypeLayout({"Id": Field(9, None, "descriptor"), "Another": Field(8, None, "descriptor")})})
    assert with_broken_numbers(own).broken == {}
    moved = layout.with_types({"HeapSegment": TypeLayout({"Flags": Field(48, None, "descriptor")})})
    assert with_broken_numbers(moved).broken.keys() == {"HeapSegment.Mem"}


@pytest.mark.parametrize(("version", "machine"), FILES)
def test_it_is_said_of_each_field_what_it_is(version: str, machine: str) -> None:
    fields = [number.name for number in numbers(file_of(version, machine)) if number.kind == "offset"]
    assert [name for name in fields if not is_known(name)] == []


def test_only_the_handle_table_is_packed() -> None:
    assert PACKED == ("TableSegment",)


@pytest.mark.parametrize(("version", "other"), [("8.0", "caller"), ("10.0", "frame")])
def test_a_contract_that_contradicts_a_number_is_refused(version: str, other: str) -> None:
    layout = file_of(version).layout
    changed = with_broken_numbers(replace(layout, contracts={**layout.contracts, "HijackedReturn": other}))
    with pytest.raises(LayoutError, match=f"HijackedReturn: the {other} tells what a method returns"):
        changed.contract("HijackedReturn")
