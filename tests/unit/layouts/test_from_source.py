"""Layout files that no build has confirmed: what both neighbours have, they have; what neighbours differ in is left open."""

import json
from importlib import resources
from typing import Any

import pytest

from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.layouts.numbers import Value, number_of

NEIGHBOURS = {"5.0": ("3.1", "6.0"), "7.0": ("6.0", "8.0")}
# Numbers that are not those of the version before nor of the one after, each group with what says so.
OF_ITS_OWN = {
    "5.0": {},
    "7.0": {
        "one stub manager more than in 8.0 (DelegateInvokeStubManager of vptr_list.h), no native thread pool (dacvars.h)": {
            "global FinalizerThread",
            "global GcDacVars",
            "global AppDomain",
        },
    },
}
# Found in the headers of the version itself: which of its neighbours' numbers it has.
SETTLED = {
    ("5.0", "Thread.GCFrame"): "6.0",  # threads.h of 5.0 has m_pGCFrame: GCFrames are no Frames since
    ("5.0", "global ThreadStore"): "6.0",  # dacvars.h of 2020 has CallCountingStubManager in front of it
    ("7.0", "global ThreadStore"): "6.0",  # no stub manager went between (vptr_list.h)
    ("7.0", "contract CodeRanges"): "6.0",  # RangeSectionMap of codeman.h came in 8.0
    ("7.0", "contract Precodes"): "8.0",  # FixupPrecode with a data page (precode.h) came in 7.0
    ("7.0", "Module.TypeRefToMethodTableMap"): "8.0",  # ModuleBase of ceeload.h came with cross-module inlining in 7.0
    ("7.0", "DomainAssembly.Assembly"): "8.0",  # DomainFile was folded into DomainAssembly (domainassembly.h)
    ("7.0", "constant ObjectHeader.ThinLockThreadIdMask"): "6.0",  # syncblk.h: ten bits up to 7.0, sixteen from 8.0 on
    ("7.0", "GcDacVars.BookkeepingStart"): "6.0",  # gcinterface.dacvars.def: bookkeeping_start came with version 2.1
}


# Fields that the file of 8.0 leaves out, because nothing asks for them there, and that another version is looked for with: gcpriv.h of 8.0.
SAID_OTHERWISE: dict[tuple[str, str], Value] = {("7.0", "CardTableInfo.BrickTable"): 40, ("7.0", "CardTableInfo.MarkArray"): 56}


def names_of(source: LayoutFile) -> set[str]:
    layout = source.layout
    found = {f"constant {name}" for name in layout.constants} | {f"contract {name}" for name in layout.contracts}
    found |= {f"global {name}" for name in source.dac_table.globals} | {"dac_table holds"}
    for name, fields in layout.types.items():
        found |= {f"{name}.{field}" for field in fields.fields} | {f"size of {name}"}
    return found


def three(version: str) -> tuple[LayoutFile, LayoutFile, LayoutFile]:
    before, after = NEIGHBOURS[version]
    return layout_file(f"{version}.0", "x64", None), layout_file(f"{before}.0", "x64", None), layout_file(f"{after}.0", "x64", None)


def raw_of(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        resources.files("heaphound.layouts").joinpath("data", f"coreclr-{version}-x64.json").read_text("utf-8")
    )
    return found


@pytest.mark.parametrize("version", NEIGHBOURS)
def test_what_both_neighbours_have_is_the_same_here(version: str) -> None:
    own, before, after = three(version)
    agreeing = [name for name in names_of(before) | names_of(after) if number_of(before, name) == number_of(after, name)]
    assert len(agreeing) > 200
    assert [name for name in agreeing if number_of(own, name) != number_of(before, name)] == []


@pytest.mark.parametrize("version", NEIGHBOURS)
def test_every_other_number_is_a_neighbours_or_listed_with_what_says_so(version: str) -> None:
    own, before, after = three(version)
    listed = set[str]().union(*OF_ITS_OWN[version].values())
    strange = {name for name in names_of(own) if number_of(own, name) not in (number_of(before, name), number_of(after, name))}
    assert strange == listed


@pytest.mark.parametrize("version", NEIGHBOURS)
def test_what_neighbours_differ_in_is_open_for_both(version: str) -> None:
    own, before, after = three(version)
    offered: dict[str, set[Value]] = {}
    for group in own.open:
        for row in group.values:
            for name, value in zip(group.names, row, strict=True):
                offered.setdefault(name, set()).add(value)
    absent = [name for name in names_of(before) | names_of(after) if name.startswith("contract ")]
    for name in sorted((names_of(before) | names_of(after)) - set(absent)):
        for neighbour in (before, after):
            value, type_name = number_of(neighbour, name), name.partition(".")[0].removeprefix("size of ")
            opened = name.startswith(("constant ", "dac_table ")) or any(other.partition(".")[0] == type_name for other in offered)
            known = opened and (" " in name or type_name in neighbour.layout.types)
            if (version, name) in SAID_OTHERWISE:
                assert SAID_OTHERWISE[version, name] in offered[name]
            elif known and value != number_of(own, name) and not name.startswith("global "):
                assert value in offered.get(name, set()), (name, neighbour.layout.version)


@pytest.mark.parametrize(("version", "name"), SETTLED)
def test_what_the_sources_settle_is_as_they_say(version: str, name: str) -> None:
    own, of = layout_file(f"{version}.0", "x64", None), layout_file(f"{SETTLED[version, name]}.0", "x64", None)
    assert number_of(own, name) == number_of(of, name)


@pytest.mark.parametrize("version", ["3.0", "3.1", "5.0", "6.0", "7.0", "8.0", "9.0", "10.0", "11.0"])
def test_only_these_files_say_that_they_were_never_run(version: str) -> None:
    never = version in (*NEIGHBOURS, "11.0")
    assert layout_file(f"{version}.0", "x64", None).status == ("from source, never run" if never else "")
    assert ("open" in raw_of(version)) == never
