"""Layout files that no build has confirmed: what both neighbours have, they have; what neighbours differ in is left open."""

import json
from importlib import resources
from typing import Any

import pytest

from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.layouts.numbers import Value, number_of

NEIGHBOURS = {"5.0": ("3.1", "6.0"), "7.0": ("6.0", "8.0")}
# Numbers that are not those of the version before nor of the one after, each group with what says so: files and pull requests of
# dotnet/runtime. No version of 7.0's own dacvars.h was at hand: its list is that of 6.0 with what came and went in between.
OF_ITS_OWN = {
    "5.0": {
        # 3.1's variable, one word on for total_generation_count; it tells where the offsets of 6.0 do not (gcinterface.dac.h at 024441f)
        "total_generation_count of #37853 (June 2020)": {"GcDacVars.MaxGeneration"},
        # vptr_list.h at 0266fa6 without what #35552 (April 2020) took out, with CallCountingStubManager of dacvars.h; clrdefinitions.cmake
        # at 0072cfe: neither EnC_SUPPORTED nor FEATURE_PREJIT on Linux
        "29 vtables in front of the first Frame, 30 in 6.0": {
            f"constant {name}" for name in layout_file("6.0.0", "x64", None).layout.constants if name.startswith("VTableIndex.")
        },
    },
    "7.0": {
        "dacvars.h: g_global_alloc_context of #66844 (March 2022) came in front, ByReference went behind (#71498, by #63768 of 7.0)": {
            "global ArrayMethodTable",
            "global CanonMethodTable",
            "global GlobalAllocContext",
            "global ObjectMethodTable",
            "global RuntimeTypeMethodTable",
            "global StringMethodTable",
        },
        # dacenumerablehash.h between #61346 (in 7.0-preview1) and #88063 (June 2023): SKIP_SPECIAL_SLOTS is 2, a chain ends in null
        "bucket arrays that begin with length and next": {"contract HashTable"},
    },
}
# Found in the sources of the time: which of its neighbours' numbers it has. Those not read in a header are known by the pull request.
SETTLED = {
    ("5.0", "Thread.GCFrame"): "6.0",  # dotnet/coreclr#27452 (October 2019): GCFrames are no Frames since; the offset is not from there
    ("5.0", "global ThreadStore"): "6.0",  # src/coreclr/src/inc/dacvars.h at 83047aa, FEATURE_PREJIT and FEATURE_UTF8STRING off
    ("5.0", "global SyncBlockCache"): "6.0",  # the same: IDynamicInterfaceCastable is there
    ("5.0", "Generation.StartSegment"): "3.1",  # src/coreclr/src/gc/gcinterface.dac.h at 024441f
    ("5.0", "ServerHeap.GenerationTable"): "3.1",  # the same
    ("5.0", "GcDacVars.GenerationFieldOffsets"): "3.1",  # #56796 (August 2021) brought them
    ("5.0", "SyncBlock.Link"): "3.1",  # syncblk.h: EnC_SUPPORTED puts a pointer before it, which clrdefinitions.cmake at 0072cfe has not
    ("5.0", "size of SyncBlock"): "3.1",  # the same
    ("7.0", "global ThreadStore"): "6.0",  # dacvars.h at d2469a8 and vptr_list.h at b1c717b: no stub manager went between
    ("7.0", "global FinalizerThread"): "6.0",  # ThreadpoolMgr went with #71719, which took UsePortableThreadPoolForIO: 7.0 has it yet
    ("7.0", "global SyncBlockCache"): "6.0",  # one came, one went; OverlappedData went with #74532 (August 2022), after 7.0
    ("7.0", "dac_table holds"): "8.0",  # debug/ee/dactable.cpp at 7c964e1 (#68065): addresses, while win32threadpool.h was there yet
    ("7.0", "constant VTableIndex.DebuggerClassInitMarkFrame"): "8.0",  # vptr_list.h at b1c717b: no DomainAssembly, PEFile, PEAssembly
    ("7.0", "contract CodeRanges"): "6.0",  # #79021 (December 2022) brought RangeSectionMap
    ("7.0", "contract Precodes"): "8.0",  # #65738 (February 2022): fixed code and a page of data
    ("7.0", "Module.TypeRefToMethodTableMap"): "8.0",  # #71271 (July 2022): ModuleBase; the offsets were not read
    ("7.0", "DomainAssembly.Assembly"): "8.0",  # not read; DomainAssembly has no vtable in vptr_list.h at b1c717b
    ("7.0", "constant ObjectHeader.ThinLockThreadIdMask"): "6.0",  # #88772 (July 2023): ten bits until then
    ("7.0", "SyncBlock.Link"): "6.0",  # #72627 came in 8.0, as #86817 says
    ("7.0", "HandleTable.SegmentList"): "6.0",  # #84454 (April 2023) moved it to the front
    ("7.0", "GcDacVars.BookkeepingStart"): "6.0",  # the same
    ("7.0", "ParamTypeDesc.TypeArg"): "8.0",  # #70055 (May 2022) had m_TemplateMT removed
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


def test_the_table_of_7_has_102_variables_9_functions_and_60_vtables() -> None:
    """dacvars.h as above, gfunc_list.h as in 6.0 (ThreadpoolMgr's callback is one of them), vptr_list.h at b1c717b."""
    assert layout_file("7.0.0", "x64", None).dac_table.entry_count == 102 + 9 + 60


@pytest.mark.parametrize("version", ["3.0", "3.1", "5.0", "6.0", "7.0", "8.0", "9.0", "10.0", "11.0"])
def test_only_these_files_say_that_they_were_never_run(version: str) -> None:
    never = version in (*NEIGHBOURS, "11.0")
    assert layout_file(f"{version}.0", "x64", None).status == ("from source, never run" if never else "")
    assert ("open" in raw_of(version)) == never
