"""The layout file of a core's version held against the core: by its self-checks, the runtime's own descriptor and the runtime's DAC."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from heaphound.dump.core import Core
from heaphound.errors import HeaphoundError
from heaphound.layouts.descriptor import read_descriptor
from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.runtime.locate import FoundRuntime, find_coreclr
from heaphound.runtime.runtime import bind_runtime
from heaphound.runtime.self_checks import read_abilities
from heaphound.runtime.vtables import first_vtable
from tools.dac.derive import Derived, hold
from tools.dac.evidence import Evidence
from tools.dac.observe import Expected, Shown
from tools.dac.path import GLOBAL
from tools.dac_table import DacTable, read_table
from tools.layout_draft import frame_constants
from tools.layout_numbers import Number, numbers, value

DESCRIPTOR = "the descriptor"


@dataclass(frozen=True)
class Checked:
    """`wrong` is a line for each thing that the file has wrong for this build: empty if it serves.

    `spoken_for` names for each number who says the same, of those that say it outright; `rests_on` the DAC's answers that use it.
    """

    source: LayoutFile
    wrong: list[str]
    spoken_for: Mapping[Number, list[str]]
    rests_on: Mapping[Number, list[str]]

    @property
    def summary(self) -> str:
        """How many numbers the DAC, the descriptor and neither spoke of."""
        whole = numbers(self.source)
        described = {number for number, who in self.spoken_for.items() if DESCRIPTOR in who}
        by_dac = {number for number, who in self.spoken_for.items() if set(who) - {DESCRIPTOR}}
        used = self.rests_on.keys() - by_dac
        silent = set(whole) - described - by_dac - used
        return (
            f"{len(whole)} numbers: the DAC goes by {len(by_dac)} and its answers rest on {len(used)} more, "
            f"the descriptor says {len(described)}; {len(silent)} are left to the self-checks"
        )


def check(core: Core, shown: Shown | None = None, source: LayoutFile | None = None) -> Checked:
    """Hold the file of the core's version, or `source`, against this build; `shown` is what its DAC showed.

    The file alone must lose no ability, without the dump's descriptor; where there is a descriptor or a DAC, the file must say the same.
    """
    found = find_coreclr(core)
    held = source or layout_file(found.version, core.machine, found.module.build_id)
    lines = [line for line in abilities(core, found, held) if not line.endswith(": available")]
    spoken_for: dict[Number, list[str]] = {}
    lines += _by_descriptor(core, found, held, spoken_for)
    rests_on: dict[Number, list[str]] = {}
    if shown is not None:
        table = read_table(core, found, held)
        lines += by_dac(held, places_of(found, held, table), table, shown, spoken_for, rests_on)
    return Checked(held, lines, spoken_for, rests_on)


def abilities(core: Core, found: FoundRuntime, source: LayoutFile) -> list[str]:
    """A line for each ability of the file on the core, without the dump's own descriptor."""
    try:
        runtime = bind_runtime(core, replace(found, descriptor=None), source)
    except HeaphoundError as error:
        return [f"refused: {error}"]
    return [f"{ability.name}: {ability.failed or 'available'}" for ability in read_abilities(runtime)]


def places_of(found: FoundRuntime, source: LayoutFile, table: DacTable) -> dict[str, tuple[int, int]]:
    """Where the file has each global in the table of this patch."""
    return source.dac_table.places(first_vtable(found.module, table.entries))


def by_dac(
    source: LayoutFile,
    places: Mapping[str, tuple[int, int]],
    table: DacTable,
    shown: Shown,
    spoken_for: dict[Number, list[str]],
    rests_on: dict[Number, list[str]],
) -> list[str]:
    """A line for each number that the DAC does not go by, and for each Frame that it knows by another one."""
    named = {named_in_ways(number): number for number in numbers(source) if number.kind != "constant"}
    known = numbers_of(source, places)
    held = hold(Evidence(shown.observed, table.places, {name: added for name, (_, added) in places.items()}), known)
    for name, calls in held.confirmed.items():
        spoken_for.setdefault(named[name], []).extend(calls)
    rests_on |= {named[name]: calls for name, calls in held.say.items()}
    return _differences(held, known) + _frames(source, shown, spoken_for)


def expected_of(found: FoundRuntime, source: LayoutFile, table: DacTable) -> Expected:
    """What the file leads one to expect of the DAC."""
    places = places_of(found, source, table)
    return Expected(numbers_of(source, places), table.places, {name: added for name, (_, added) in places.items()})


def numbers_of(source: LayoutFile, places: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """The numbers of structures and the indices of globals by the names that ways have for them."""
    known = {named_in_ways(number): value(source, number) for number in numbers(source) if number.kind != "constant"}
    return known | {f"{GLOBAL}{name}": index for name, (index, _) in places.items()}


def named_in_ways(number: Number) -> str:
    """The name that ways have for a number of a structure or for a global."""
    return {"size": f"{number.name}.!", "global": f"{GLOBAL}{number.name}"}.get(number.kind, number.name)


def _differences(held: Derived, known: Mapping[str, int]) -> list[str]:
    changed = [f"{name}: {known[name]}, the DAC goes by {held.numbers[name]} ({', '.join(calls)})" for name, calls in held.changed.items()]
    return changed + [f"{name}: {known[name]}, the DAC goes another way ({', '.join(calls)})" for name, calls in held.open.items()]


def _frames(source: LayoutFile, shown: Shown, spoken_for: dict[Number, list[str]]) -> list[str]:
    lines = []
    for name, said in frame_constants(shown.frames).items():
        if source.layout.has_constant(name) and source.layout.constant(name) == said:
            spoken_for.setdefault(Number("constant", name), []).append("GetFrameName")
        elif source.layout.has_constant(name):
            lines.append(f"constant {name}: {source.layout.constant(name)}, the DAC says {said}")
    return lines


def _by_descriptor(core: Core, found: FoundRuntime, source: LayoutFile, spoken_for: dict[Number, list[str]]) -> list[str]:
    """A line for each number that the build's descriptor says otherwise."""
    if found.descriptor is None:
        return []
    descriptor = read_descriptor(core.memory.bytes, found.descriptor)
    said = {
        Number("offset", f"{name}.{field}"): place.offset
        for name, layout in descriptor.types.items()
        for field, place in layout.fields.items()
    }
    said |= {Number("constant", name): literal for name, literal in descriptor.literals.items()}
    lines = []
    for number in numbers(source):
        if number in said and value(source, number) == said[number]:
            spoken_for.setdefault(number, []).append(DESCRIPTOR)
        elif number in said:
            lines.append(f"{number}: {value(source, number)}, the build says {said[number]}")
    return lines
