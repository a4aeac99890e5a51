"""Layout: look-ups that fail by name, merging, and what is refused as an offset."""

import pytest

from heaphound.errors import LayoutError
from heaphound.layouts.schema import Field, Layout, TypeLayout, merge_types, read_types


def layout(**types: TypeLayout) -> Layout:
    return Layout("9.0", types, {"Mask": 7}, {"Statics": "dynamic-statics-info"}, ("Strong",))


THREAD = TypeLayout({"Id": Field(16, None, "descriptor")}, 1104)


def test_what_is_known_is_given() -> None:
    known = layout(Thread=THREAD)
    assert known.offset("Thread", "Id") == 16
    assert known.size("Thread") == 1104
    assert known.origin("Thread", "Id") == "descriptor"
    assert known.constant("Mask") == 7
    assert known.contract("Statics") == "dynamic-statics-info"
    assert (known.has("Thread"), known.has("Thread", "Id"), known.has("Thread", "Name"), known.has("Frame")) == (True, True, False, False)
    assert (known.has_constant("Mask"), known.has_constant("Bits"), known.has_contract("Code")) == (True, False, False)


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda known: known.offset("Thread", "Name"), "Thread.Name"),
        (lambda known: known.offset("Frame", "Next"), "Frame.Next"),
        (lambda known: known.origin("Frame", "Next"), "Frame.Next"),
        (lambda known: known.size("Frame"), "Frame"),
        (lambda known: known.size("Module"), "Module"),
        (lambda known: known.constant("Bits"), "Bits"),
        (lambda known: known.contract("Code"), "Code"),
        (lambda known: known.global_address("AppDomain"), "AppDomain"),
        (lambda known: known.global_origin("AppDomain"), "AppDomain"),
    ],
)
def test_what_is_not_known_is_refused_by_name(ask: object, named: str) -> None:
    assert callable(ask)
    with pytest.raises(LayoutError, match=f"9.0.*{named}"):
        ask(layout(Thread=THREAD, Module=TypeLayout({})))


def test_the_upper_layer_wins_field_by_field() -> None:
    below = {"Thread": TypeLayout({"Id": Field(1, None, "layout file"), "State": Field(2, None, "layout file")}, 100)}
    above = {"Thread": TypeLayout({"Id": Field(16, None, "descriptor")}), "Object": TypeLayout({}, 8)}
    merged = merge_types(below, above)
    assert merged["Thread"].fields == {"Id": Field(16, None, "descriptor"), "State": Field(2, None, "layout file")}
    assert merged["Thread"].size_bytes == 100
    assert merged["Object"].size_bytes == 8
    assert below["Thread"].fields["Id"].offset == 1


def test_globals_and_found_offsets_keep_their_origin() -> None:
    known = layout(Thread=THREAD).with_globals({"AppDomain": 0x1000, "ThreadStore": 0x2000}, "layout file")
    over = known.with_globals({"AppDomain": 0x1000}, "descriptor").with_found("Thread", "Name", 24)
    assert over.global_address("ThreadStore") == 0x2000
    assert (over.global_origin("AppDomain"), over.global_origin("ThreadStore")) == ("descriptor", "layout file")
    assert (over.offset("Thread", "Name"), over.origin("Thread", "Name")) == (24, "found by search")
    assert over.offset("Thread", "Id") == 16
    assert not known.has("Thread", "Name")


def test_the_compact_schema_is_read() -> None:
    types = read_types({"Thread": {"!": 64, "Id": 16, "Link": [112, "pointer"]}, "Empty": {}}, "descriptor")
    assert types["Thread"] == TypeLayout({"Id": Field(16, None, "descriptor"), "Link": Field(112, "pointer", "descriptor")}, 64)
    assert types["Empty"] == TypeLayout({}, None)


@pytest.mark.parametrize(
    "raw", [[], {"T": []}, {"T": {"f": -1}}, {"T": {"f": "8"}}, {"T": {"f": True}}, {"T": {"f": [8]}}, {"T": {"f": 1 << 20}}]
)
def test_what_is_no_offset_is_refused(raw: object) -> None:
    with pytest.raises(LayoutError):
        read_types(raw, "descriptor")
