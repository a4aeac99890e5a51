"""Layouts that were written from source and never run: read by them, dumps of the versions before and after come out as by their own.

No dump of 5 or 7 can be made here. What their files leave open is settled on a dump by its self-checks; so their way to read is tried on
real dumps whose numbers differ from the files' as much as those of the versions themselves ever could.
"""

from dataclasses import dataclass, replace

import pytest

from heaphound.dump.core import Core, open_core
from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.layouts.numbers import number_of, with_numbers
from heaphound.layouts.open_numbers import OpenNumbers
from heaphound.runtime.locate import FoundRuntime, find_coreclr
from heaphound.runtime.runtime import bind_runtime
from heaphound.runtime.self_checks import read_abilities
from heaphound.runtime.settle import settle
from tests.lab.dumps import make_dump, zoo


@dataclass(frozen=True)
class Subject:
    core: Core
    found: FoundRuntime
    own: LayoutFile


def subject_of(version: str) -> Subject:
    core = open_core(make_dump(zoo(version)).path)
    found = find_coreclr(core)
    return Subject(core, found, layout_file(version, core.machine, None))


def lost(subject: Subject, source: LayoutFile) -> set[str]:
    return {ability.name for ability in read_abilities(bind_runtime(subject.core, subject.found, source)) if not ability.available}


# 8.0's own file has no need of these: the GC says where its tables are.
NOT_IN_ITS_FILE = ("CardTableInfo.BrickTable", "CardTableInfo.MarkArray")


def wrongly_found(settled: LayoutFile, own: LayoutFile) -> list[tuple[str, object, object]]:
    pairs = [(name, number_of(settled, name), number_of(own, name)) for name in settled.found if name not in NOT_IN_ITS_FILE]
    return [(name, found, right) for name, found, right in pairs if found != right]


@pytest.mark.parametrize(
    ("file", "version", "without"),
    [
        ("7.0.0", "6.0.6", set()),
        ("7.0.0", "8.0.4", set()),
        ("5.0.0", "6.0.6", set()),
        ("11.0.0", "10.0.11", set()),
        ("5.0.0", "3.1.2", {"stacks"}),  # 3.1 writes IL maps without the byte of flags that 5.0 and 6.0 begin with
    ],
)
def test_a_neighbours_dump_is_read_whole_and_no_number_is_found_wrong(file: str, version: str, without: set[str]) -> None:
    subject = subject_of(version)
    settled = settle(subject.core, subject.found, layout_file(file, "x64", None))
    assert wrongly_found(settled, subject.own) == []
    assert lost(subject, settled) <= without


MOVED = [
    ("Module.PEAssembly", "Module", 16),
    ("Thread.LastThrownObject", "Thread", -8),
    ("LoaderAllocator.LowFrequencyHeap", "LoaderAllocator", 24),
    ("AppDomain.DomainAssemblyList", "AppDomain", 40),
    ("PEImage.FlatImageLayout", "PEImage", 8),
    ("ReadyToRunInfo.RuntimeFunctions", "ReadyToRunInfo", 16),
    ("HandleTable.SegmentList", "HandleTable", 16),
    ("SyncBlockCache.FreeSyncTableIndex", "SyncBlockCache", 8),
    ("global ObjectMethodTable", "", 2),
    ("global SyncTableEntries", "", -1),
]


def behind(source: LayoutFile, name: str, type_name: str) -> list[str]:
    """The number and those behind it in its structure, or in g_dacTable."""
    if not type_name:
        places = source.dac_table.globals
        first = places[name.removeprefix("global ")]
        return [f"global {other}" for other, place in places.items() if place >= first]
    fields = source.layout.types[type_name].fields
    first_offset = fields[name.partition(".")[2]].offset
    return [f"{type_name}.{field}" for field, place in fields.items() if place.offset >= first_offset]


def moved(source: LayoutFile, name: str, type_name: str, delta: int) -> LayoutFile:
    names = behind(source, name, type_name)
    values = [number_of(source, other) for other in names]
    changed = with_numbers(source, names, [value + delta if isinstance(value, int) else value for value in values])
    return replace(changed, found=())


def opened(source: LayoutFile) -> LayoutFile:
    """The file with its structures open, as those of 5.0 and 7.0 are, but with no other version to take numbers from."""
    groups: list[OpenNumbers] = []
    for type_name in {type_name for _, type_name, _ in MOVED if type_name}:
        fields = source.layout.types[type_name].fields
        names = [f"{type_name}.{field}" for field in sorted(fields, key=lambda field: fields[field].offset)]
        groups += [OpenNumbers(tuple(names[start:]), (), 64, 8) for start in range(len(names))]
    places = source.dac_table.globals
    ordered = [f"global {name}" for name in sorted(places, key=lambda name: places[name])]
    groups += [OpenNumbers(tuple(ordered[start:]), (), 8, 1) for start in range(len(ordered))]
    return replace(source, open=tuple(groups))


def test_numbers_of_no_known_version_are_found_where_several_structures_have_moved_at_once() -> None:
    """As a patch moves them: a member more or less somewhere, so that all behind it move. Two to four structures at a time."""
    subject = subject_of("8.0.4")
    for start in range(0, len(MOVED), 4):
        source = subject.own
        for name, type_name, delta in MOVED[start : start + 4]:
            source = moved(source, name, type_name, delta)
        settled = settle(subject.core, subject.found, opened(source))
        assert lost(subject, settled) == set(), MOVED[start : start + 4]
        guarded = [name for name, _, _ in MOVED[start : start + 4] if name != "Thread.LastThrownObject"]
        assert [number_of(settled, name) for name in guarded] == [number_of(subject.own, name) for name in guarded]


def test_a_file_that_fits_is_left_as_it_is() -> None:
    subject = subject_of("8.0.4")
    source = opened(subject.own)
    assert settle(subject.core, subject.found, source) is source


def test_what_fits_nowhere_loses_its_ability_and_nothing_else() -> None:
    subject = subject_of("8.0.4")
    source = opened(subject.own)
    far = with_numbers(source, ["HandleTable.SegmentList"], [4096])
    assert lost(subject, settle(subject.core, subject.found, replace(far, found=()))) <= {"handles", "type names", "layout"}
