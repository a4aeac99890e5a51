"""The layout files themselves, and which one a runtime gets."""

import json
import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from heaphound.errors import LayoutError, UnsupportedRuntime
from heaphound.layouts.descriptor import Descriptor
from heaphound.layouts.load import layout_file, parse_layout_file, product_version, supported_versions, with_descriptor
from heaphound.layouts.schema import Field, TypeLayout

VERSIONS = ["3.0", "3.1", "5.0", "6.0", "7.0", "8.0", "9.0", "10.0", "11.0"]


# What a lock in front of a field takes more on arm64, in bytes: PAL_CS_NATIVE_DATA_SIZE of src/pal/inc/pal.h: 120 and 96, then 104 and 96.
ARM64_LOCKS = {"3.1": 24, "6.0": 8, "8.0": 8, "9.0": 8, "10.0": 0}


def text_of(version: str, architecture: str = "x64") -> str:
    return resources.files("heaphound.layouts").joinpath("data", f"coreclr-{version}-{architecture}.json").read_text(encoding="utf-8")


def test_every_supported_version_is_listed_in_order() -> None:
    assert supported_versions() == VERSIONS
    assert supported_versions("arm64") == list(ARM64_LOCKS)


@pytest.mark.parametrize("version", ARM64_LOCKS)
def test_a_file_of_another_machine_states_only_what_differs(version: str) -> None:
    raw = json.loads(text_of(version, "arm64"))
    below = json.loads(text_of(version))
    found, other = layout_file(f"{version}.30", "arm64", None), layout_file(f"{version}.30", "x64", None)
    assert raw["differs_from"] == f"coreclr-{version}-x64.json"
    for name, fields in raw["types"].items():
        assert fields is None or all(below["types"].get(name, {}).get(field) != offset for field, offset in fields.items()), name
    assert found.layout.offset("MethodTable", "BaseSize") == other.layout.offset("MethodTable", "BaseSize")
    assert found.layout.size("RuntimeFunction") == 8
    assert not found.layout.has("RuntimeFunction", "EndAddress")
    for place in (("SyncBlockCache", "SyncTableSize"), ("ThreadStore", "ThreadCount"), ("VirtualCallStubManager", "CacheEntryHeap")):
        assert found.layout.offset(*place) == other.layout.offset(*place) + ARM64_LOCKS[version]
    assert found.origin != other.origin


@pytest.mark.parametrize("named", ["coreclr-8.0-arm64.json", "nothing.json", 8])
def test_a_file_that_differs_from_no_other_file_is_refused(named: object) -> None:
    text = json.dumps({"differs_from": named, "types": {}})
    with pytest.raises(LayoutError, match="no other layout file"):
        parse_layout_file(text, "coreclr-8.0-arm64.json", lambda _: text)
    with pytest.raises(LayoutError, match="no other layout file"):
        parse_layout_file(json.dumps({"differs_from": "coreclr-8.0-x64.json"}), "coreclr-8.0-arm64.json")


def test_two_files_cannot_each_differ_from_the_other() -> None:
    texts = {
        f"coreclr-8.0-{machine}.json": json.dumps({"differs_from": f"coreclr-8.0-{other}.json"})
        for machine, other in (("x64", "arm64"), ("arm64", "x64"))
    }
    with pytest.raises(LayoutError, match="no other layout file"):
        parse_layout_file(texts["coreclr-8.0-arm64.json"], "coreclr-8.0-arm64.json", lambda name: texts[name])


def test_globals_move_where_a_patch_has_a_variable_more() -> None:
    """g_dacTable of 8.0.4 has 96 entries in front of its vtables, that of 8.0.31 has 97."""
    table = layout_file("8.0.31", "x64", None).dac_table
    assert table.places(96) == table.places(None) == dict(table.globals)
    assert {name: place[0] - table.globals[name][0] for name, place in table.places(97).items() if place != table.globals[name]} == {
        "FCallMethods": 1,
        "SyncBlockCache": 1,
        "SyncTableEntries": 1,
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_serves_every_build_of_its_version(version: str) -> None:
    found = layout_file(f"{version}.37", "x64", "abc")
    assert found.layout.version == version
    assert found.layout.origin("MethodTable", "BaseSize") == "layout file"
    assert found.dac_table.entry_bytes == (4 if version in ("3.0", "3.1", "5.0", "6.0") else 8)


def test_versions_of_images_are_the_products_but_for_coreclr_before_5() -> None:
    """Version texts of libcoreclr.so of 9.0.11 and 3.1.2, and of libhostpolicy.so of 3.1.2."""
    assert product_version(9, 0, 1125) == "9.0.11"
    assert product_version(4, 700, 20) is None
    assert product_version(3, 100, 220) == "3.1.2"


def test_what_moved_in_a_patch_holds_from_that_patch_on() -> None:
    """m_pOSContextBuffer came before Thread::m_ThreadLocalBlock in 3.1.13 (src/vm/threads.h)."""
    places = [
        layout_file(version, "x64", None).layout.offset("Thread", "ThreadLocalBlock") for version in ("3.1.0", "3.1.12", "3.1.13", "3.1.32")
    ]
    assert places == [1072, 1072, 1080, 1080]


@pytest.mark.parametrize(("version", "architecture"), [("2.1.8", "x64"), ("7.0.20", "arm64"), ("12.0.0", "x64"), ("9.1.0", "x64")])
def test_a_version_without_a_file_is_refused_and_told_what_to_do(version: str, architecture: str) -> None:
    with pytest.raises(UnsupportedRuntime) as error:
        layout_file(version, architecture, "0123abcd")
    for part in (
        version,
        architecture,
        "0123abcd",
        "3.0, 3.1, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0 on x64; 3.1, 6.0, 8.0, 9.0, 10.0 on arm64",
        "CONTRIBUTING.md",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("section", ["constants", "contracts", "types", "globals"])
def test_entries_are_one_a_line_and_sorted(version: str, section: str) -> None:
    lines = text_of(version).splitlines()
    starts = [number for number, line in enumerate(lines) if re.fullmatch(rf'\s*"{section}": {{', line)]
    assert len(starts) == 1 or "differs_from" in text_of(version)  # a file of differences leaves out what does not differ
    start = starts[0] if starts else len(lines) - 2
    end = next(number for number in range(start + 1, len(lines)) if re.fullmatch(r"\s*},?", lines[number]))
    names = [re.match(r'\s*"([^"]+)": .+', line) for line in lines[start + 1 : end]]
    assert all(names)
    found = [name.group(1) for name in names if name]
    assert found == sorted(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("version", VERSIONS)
def test_fields_of_a_type_do_not_share_an_offset_but_where_the_runtime_has_a_union(version: str) -> None:
    unions = {
        "ILCodeVersioningState",  # version of IL: by node or by module and method (codeversion.h)
        "EETypeHashTable",  # the table's bucket array and an entry's value are two structures under one name
        "InstMethodHashTable",
        "StressLog",
    }
    for name, layout in layout_file(f"{version}.0", "x64", None).layout.types.items():
        offsets = [field.offset for field in layout.fields.values()]
        assert name in unions or len(offsets) == len(set(offsets)), name
        if layout.size_bytes is not None:
            assert all(offset < layout.size_bytes for offset in offsets), name


def test_the_dumps_own_descriptor_wins() -> None:
    base = layout_file("9.0.1", "x64", None).layout.with_globals({"AppDomain": 1, "SystemDomain": 2}, "layout file")
    own = {"Thread": TypeLayout({"Id": Field(20, None, "descriptor")})}
    over = with_descriptor(base, Descriptor(own, {"MethodDescAlignment": 16}, {"AppDomain": 3}, {}, {"Thread": 2}))
    assert (over.offset("Thread", "Id"), over.origin("Thread", "Id")) == (20, "descriptor")
    assert over.origin("Thread", "ThreadLocalDataPtr") == "layout file"
    assert over.constant("MethodDescAlignment") == 16
    assert (over.global_address("AppDomain"), over.global_address("SystemDomain")) == (3, 2)
    assert (over.contract("Thread"), over.contract("Statics")) == (2, "dynamic-statics-info")


def broken(change: Callable[[dict[str, Any]], object]) -> str:
    raw = json.loads(text_of("9.0"))
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda raw: raw.pop("origin"), "sections"),
        (lambda raw: raw.update(extra={}), "sections"),
        (lambda raw: raw["origin"].pop("source"), "origin"),
        (lambda raw: raw["constants"].update(a="7"), "constant"),
        (lambda raw: raw["contracts"].update(a=[]), "contract"),
        (lambda raw: raw.update(handle_kinds=[1]), "handle_kinds"),
        (lambda raw: raw["types"].update(T={"f": -8}), "T.f"),
        (lambda raw: raw["dac_table"].update(holds="u16"), "u16"),
        (lambda raw: raw["dac_table"]["globals"].update(Far=4000), "Far"),
        (lambda raw: raw["dac_table"].pop("entries"), "entries"),
        (lambda raw: raw["dac_table"].update(moved={"x": {}}), "moved"),
        (lambda raw: raw["dac_table"].update(moved={"97": {"Far": 4000}}), "Far"),
    ],
)
def test_a_file_with_a_wrong_entry_is_refused_by_name(change: Callable[[dict[str, Any]], object], named: str) -> None:
    with pytest.raises(LayoutError, match=f"file.json|{named}") as error:
        parse_layout_file(broken(change), "file.json")
    assert named in str(error.value)


def test_a_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(LayoutError, match="not JSON"):
        parse_layout_file("{", "file.json")
