"""A layout whose numbers are off by one word must be noticed by name on a real dump, each number by the ability that rests on it."""

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from tools.dac_table import read_table
from tools.layout_check import check
from tools.layout_draft import draft
from tools.layout_text import layout_text

from heaphound.dump.core import Core, open_core
from heaphound.errors import UnsupportedRuntime
from heaphound.layouts.descriptor import read_descriptor
from heaphound.layouts.load import LayoutFile, layout_file, parse_layout_file
from heaphound.runtime.locate import find_coreclr
from heaphound.runtime.runtime import bind_runtime
from heaphound.runtime.self_checks import read_abilities
from tests.lab.dumps import make_dump, zoo
from tests.lab.runtimes import VERSIONS

REFUSED = "refused"
NOTICED = {
    REFUSED: ["MethodTable.MTFlags", "MethodTable.BaseSize", "MethodTable.ParentMethodTable", "GcDacVars.GenerationSize"],
    "heap walk": [
        "HeapSegment.Mem",
        "HeapSegment.Allocated",
        "Array.m_NumComponents",
        "GCAllocContext.Limit",
    ],
    "types": ["MethodTable.EEClassOrCanonMT", "EEClass.MethodTable", "Module.TypeDefToMethodTableMap", "ModuleLookupMap.TableData"],
    "type names": ["PEImageLayout.Base"],
    "fields": [
        "EEClass.FieldDescList",
        "FieldDesc.DWord1",
        "FieldDesc.DWord2",
        "Exception._message",
        "Delegate._target",
        "ManagedThread._name",
    ],
    "modules": ["Module.Assembly", "Assembly.Module", "AppDomain.DomainAssemblyList", "ArrayListBlock.ArrayStart"],
    "handles": ["HandleTable.SegmentList", "TableSegment.HandleTable", "TableSegment.BlockType", "TableSegment.UserData"],
    "finalizer queue": ["CFinalize.FillPointers"],
    "threads": ["Thread.LinkNext", "Thread.Id", "Thread.OSId", "Thread.State", "ThreadStore.FirstThreadLink"],
    "locks": ["SyncTableEntry.Object", "SyncBlockCache.SyncTableSize"],
    "code": ["RangeSection.RangeBegin", "RealCodeHeader.MethodDesc", "CodeHeapListNode.HeaderMap", "MethodDescChunk.MethodTable"],
}
NOTICED_IN = {
    "3.1": {
        "statics": ["DomainLocalModule.GCStatics", "Module.ModuleID"],
        "thread statics": ["Thread.ThreadLocalBlock", "ThreadLocalModule.GCStatics"],
    },
    "6.0": {
        "statics": ["DomainLocalModule.GCStatics", "Module.ModuleID"],
        "thread statics": ["Thread.ThreadLocalBlock", "ThreadLocalModule.GCStatics"],
    },
    "8.0": {
        "statics": ["DomainLocalModule.GCStatics", "Module.ModuleID"],
        "thread statics": ["Thread.ThreadLocalBlock", "ThreadLocalModule.GCStatics"],
    },
    "9.0": {"statics": ["DynamicStaticsInfo.GCStatics", "MethodTable.AuxiliaryData"], "thread statics": ["Thread.ThreadLocalDataPtr"]},
    "10.0": {"statics": ["DynamicStaticsInfo.GCStatics", "MethodTable.AuxiliaryData"], "thread statics": ["Thread.ThreadLocalDataPtr"]},
}
TO_3_1 = {"ObjectArrayMethodTable": "ObjectArrayTypeDesc"}  # the array type's own structure, which leads to its MethodTable
GLOBALS_NOTICED = {
    REFUSED: ["GcDacVars", "FreeObjectMethodTable", "StringMethodTable", "ObjectMethodTable"],
    "threads": ["ThreadStore", "FinalizerThread"],
    "type names": ["ExceptionMethodTable", "ArrayMethodTable", "DelegateMethodTable", "EnumMethodTable", "ObjectArrayMethodTable"],
    "modules": ["AppDomain"],
}


@pytest.fixture(scope="module", params=VERSIONS)
def version_and_core(request: pytest.FixtureRequest) -> tuple[str, Core]:
    version: str = request.param
    return version, open_core(make_dump(zoo(version)).path)


def lost(core: Core, source: LayoutFile) -> set[str]:
    """The abilities that a layout file takes away on a core, read without the dump's own descriptor."""
    try:
        runtime = bind_runtime(core, replace(find_coreclr(core), descriptor=None), source)
    except UnsupportedRuntime:
        return {REFUSED}
    return {ability.name for ability in read_abilities(runtime) if not ability.available}


def moved(source: LayoutFile, type_name: str, field: str) -> LayoutFile:
    """The layout with one field eight bytes further on."""
    known = source.layout.types[type_name]
    fields = {**known.fields, field: replace(known.fields[field], offset=known.fields[field].offset + 8)}
    return replace(source, layout=source.layout.with_types({type_name: replace(known, fields=fields)}))


def test_the_file_alone_takes_nothing_away(version_and_core: tuple[str, Core]) -> None:
    version, core = version_and_core
    assert lost(core, layout_file(version, "x64", None)) == set()


def test_the_file_says_what_the_build_says_of_itself(version_and_core: tuple[str, Core]) -> None:
    _, core = version_and_core
    assert check(core).wrong == []


def unnoticed(expected: dict[str, list[str]], lost_by: Callable[[str], set[str]]) -> list[tuple[str, str, set[str]]]:
    """(ability, name, abilities lost) of all that was not noticed by its ability."""
    found = []
    for ability, names in expected.items():
        for name in names:
            taken = lost_by(name)
            if not taken & {ability, REFUSED}:
                found.append((ability, name, taken))
    return found


def test_a_field_that_has_moved_is_noticed(version_and_core: tuple[str, Core]) -> None:
    version, core = version_and_core
    source = layout_file(version, "x64", None)

    def lost_by(name: str) -> set[str]:
        type_name, _, field = name.partition(".")
        return lost(core, moved(source, type_name, field))

    assert unnoticed(NOTICED, lost_by) == []
    assert unnoticed(NOTICED_IN[source.layout.version], lost_by) == []


def test_a_global_that_has_moved_is_noticed(version_and_core: tuple[str, Core]) -> None:
    version, core = version_and_core
    source = layout_file(version, "x64", None)

    def lost_by(name: str) -> set[str]:
        name = name if name in source.dac_table.globals else TO_3_1[name]
        index, added = source.dac_table.globals[name]
        globals_: dict[str, Any] = {**source.dac_table.globals, name: (index + 1, added)}
        return lost(core, replace(source, dac_table=replace(source.dac_table, globals=globals_)))

    assert unnoticed(GLOBALS_NOTICED, lost_by) == []


def test_a_draft_from_the_version_before_finds_every_global() -> None:
    core = open_core(make_dump(zoo("10.0.11")).path)
    found = find_coreclr(core)
    assert found.descriptor is not None
    older = json.loads(resources.files("heaphound.layouts").joinpath("data", "coreclr-9.0-x64.json").read_text("utf-8"))
    drafted = draft(older, found, read_descriptor(core.memory.bytes, found.descriptor), read_table(core, found))
    file, known = parse_layout_file(layout_text(drafted.raw), "draft"), layout_file("10.0.11", "x64", None)
    assert file.dac_table.entry_count == known.dac_table.entry_count
    common = file.dac_table.globals.keys() & known.dac_table.globals.keys()
    assert {name: file.dac_table.globals[name] for name in common} == {name: known.dac_table.globals[name] for name in common}
    assert known.dac_table.globals.keys() <= file.dac_table.globals.keys()
    assert "handles" in lost(core, file)  # its handle table is the older one's still: noticed, not read wrongly
