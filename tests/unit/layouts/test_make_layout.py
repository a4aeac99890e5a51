"""The tool that drafts a layout file: its text, and where it puts globals that the descriptor does not name."""

import json
from importlib import resources

import pytest
from tools.dac_table import DacTable
from tools.layout_draft import draft
from tools.layout_text import layout_text

from heaphound.dump.elf_modules import ElfModule
from heaphound.errors import UnsupportedRuntime
from heaphound.layouts.descriptor import Descriptor
from heaphound.layouts.load import layout_file, parse_layout_file, raw_layout_file, supported_versions
from heaphound.layouts.schema import Field, TypeLayout
from heaphound.runtime.locate import FoundRuntime


def raw_of(version: str) -> dict[str, object]:
    return json.loads(resources.files("heaphound.layouts").joinpath("data", f"coreclr-{version}-x64.json").read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("version", ["6.0", "8.0", "9.0", "10.0"])
def test_the_text_of_a_file_is_the_file(version: str) -> None:
    raw = raw_of(version)
    text = layout_text(raw)
    assert json.loads(text) == raw
    assert layout_text(json.loads(text)) == text


def test_a_draft_has_what_the_descriptor_says_and_the_rest_of_the_older_file() -> None:
    raw = raw_of("9.0")
    nothing: ElfModule = None  # type: ignore[assignment]  # drafting does not look at the image
    found = FoundRuntime(nothing, "11.0.2", "image", "0123abcd", 0x1000, 0x2000)
    types = {
        "Thread": TypeLayout({"Id": Field(24, None, "descriptor")}, 900),
        "New": TypeLayout({"Field": Field(8, "pointer", "descriptor")}),
    }
    descriptor = Descriptor(types, {"MethodDescAlignment": 16}, {"ThreadStore": 0x5080, "FreeObjectMethodTable": 0x5100}, {}, {"Thread": 2})
    table = DacTable(tuple(0x5000 + 8 * index for index in range(100)), "u64 address")
    file = parse_layout_file(layout_text(draft(raw, found, descriptor, table).raw), "draft")
    layout = file.layout
    assert layout.version == "11.0"
    assert (layout.offset("Thread", "Id"), layout.size("Thread"), layout.offset("New", "Field")) == (24, 900, 8)
    assert layout.offset("Thread", "LinkNext") == 112
    assert layout.constant("MethodDescAlignment") == 16
    assert "11.0.2" in file.origin["build"]
    places = file.dac_table.globals
    assert (places["ThreadStore"], places["FreeObjectMethodTable"]) == ((16, 0), (32, 0))
    assert places["FinalizerThread"] == (17, 0)  # one behind ThreadStore, as in 9.0
    assert places["ValueTypeMethodTable"] == (33, 0)  # one behind FreeObjectMethodTable, as in 9.0
    assert places["ObjectArrayMethodTable"] == (36, 224)


@pytest.mark.parametrize("version", supported_versions())
def test_the_file_that_a_draft_begins_with_is_whole_also_where_it_states_differences(version: str) -> None:
    raw = raw_layout_file(version)
    assert raw["version"] == version
    assert parse_layout_file(layout_text(raw), version).layout == layout_file(f"{version}.0", "x64", None).layout


def test_a_draft_from_a_version_without_a_file_is_refused() -> None:
    with pytest.raises(UnsupportedRuntime, match=r"no layout for \.NET 4\.0 x64; there are layouts for 3\.0, "):
        raw_layout_file("4.0")
