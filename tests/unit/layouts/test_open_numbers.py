"""Open numbers of a layout file: how they are read, and what taking another one does to the file."""

import json
from importlib import resources
from typing import Any

import pytest

from heaphound.errors import LayoutError
from heaphound.layouts.load import LayoutFile, parse_layout_file
from heaphound.layouts.numbers import number_of, recording, with_numbers
from heaphound.layouts.open_numbers import OpenNumbers


def file_with(*entries: object) -> LayoutFile:
    raw: dict[str, Any] = json.loads(resources.files("heaphound.layouts").joinpath("data", "coreclr-8.0-x64.json").read_text("utf-8"))
    raw["open"] = list(entries)
    return parse_layout_file(json.dumps(raw), "file.json")


def test_a_structure_is_open_whole_by_field_and_from_each_field_on() -> None:
    source = file_with({"type": "PEImage", "values": [{"FlatImageLayout": 96, "LoadedImageLayout": None}], "around": 8})
    assert source.open == (
        OpenNumbers(("PEImage.FlatImageLayout", "PEImage.LoadedImageLayout"), ((96, None),)),
        OpenNumbers(("PEImage.FlatImageLayout",), ((96,),)),
        OpenNumbers(("PEImage.LoadedImageLayout",), ((None,),)),
        OpenNumbers(("PEImage.Path", "PEImage.FlatImageLayout", "PEImage.LoadedImageLayout"), (), 8, 8),
        OpenNumbers(("PEImage.FlatImageLayout", "PEImage.LoadedImageLayout"), (), 8, 8),
        OpenNumbers(("PEImage.LoadedImageLayout",), (), 8, 8),
    )


def test_places_of_globals_move_by_one_from_each_on() -> None:
    groups = file_with({"globals": [], "around": 2}).open
    assert groups[-1].names == ("global SyncBlockCache",)
    assert [row[0] for row in groups[-1].moved([80])] == [81, 79, 82, 78]


def test_moved_numbers_do_not_become_negative() -> None:
    assert list(OpenNumbers(("A.x", "A.y"), (), 16, 8).moved([0, None])) == [(8, None), (16, None)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Thread.Id", 36),
        ("Thread.New", 8),
        ("size of MethodTable", 72),
        ("constant GCInfoVersion", 3),
        ("contract CodeRanges", "list"),
        ("global AppDomain", 22),
        ("dac_table entries", 170),
        ("dac_table holds", "u32 offset from the image base"),
    ],
)
def test_a_number_is_replaced_and_the_file_says_so(name: str, value: int | str) -> None:
    source = file_with()
    changed = with_numbers(source, [name], [value])
    assert number_of(changed, name) == value
    assert changed.found == (name,)
    assert with_numbers(changed, [name], [value]) == changed


def test_a_field_that_was_found_says_where_it_comes_from_and_keeps_its_type() -> None:
    changed = with_numbers(file_with(), ["Thread.AllocContext"], [96])
    field = changed.layout.types["Thread"].fields["AllocContext"]
    assert (field.offset, field.type_name, field.origin) == (96, "GCAllocContext", "found by search")


@pytest.mark.parametrize("name", ["Thread.Id", "constant GCInfoVersion", "global AppDomain", "size of MethodTable"])
def test_a_number_can_be_taken_away(name: str) -> None:
    changed = with_numbers(file_with(), [name], [None])
    assert number_of(changed, name) is None


def test_a_place_in_the_table_can_name_the_bytes_to_add() -> None:
    changed = with_numbers(file_with(), ["global ObjectArrayTypeDesc", "global ObjectArrayMethodTable"], ["60+224", 61])
    assert changed.dac_table.globals["ObjectArrayTypeDesc"] == (60, 224)
    assert changed.dac_table.globals["ObjectArrayMethodTable"] == (61, 224)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(LayoutError, match="nothing"):
        with_numbers(file_with(), ["nothing"], [3])


@pytest.mark.parametrize(
    "entry",
    [
        7,
        {"numbers": []},
        {"numbers": ["Thread.Id"], "values": [[1, 2]]},
        {"numbers": ["Thread.Id"], "values": [[1.5]]},
        {"type": "Thread", "around": 1 << 20},
        {"type": "Thread", "values": [{"Id": "here"}]},
        {"type": "Thread", "values": 3},
        {"globals": []},
    ],
)
def test_an_entry_that_is_none_is_refused_by_the_files_name(entry: object) -> None:
    with pytest.raises(LayoutError, match=r"file\.json"):
        file_with(entry)


def test_what_is_asked_for_is_noted_in_order() -> None:
    names = dict[str, None]()
    layout = recording(file_with(), names).layout
    layout.offset("Thread", "Id")
    layout.constant("GCInfoVersion")
    layout.has("Thread", "Nothing")
    layout.contract("CodeRanges")
    layout.size("MethodTable")
    layout.has_global("InlinedCallFrameVTable")
    assert list(names) == [
        "Thread.Id",
        "constant GCInfoVersion",
        "Thread.Nothing",
        "contract CodeRanges",
        "size of MethodTable",
        "constant VTableIndex.InlinedCallFrame",
    ]
