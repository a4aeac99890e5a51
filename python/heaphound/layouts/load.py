"""Which layout a runtime gets: the file of its major.minor, then the dump's own descriptor on top. The only place that sees versions."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

from heaphound.errors import LayoutError, UnsupportedRuntime
from heaphound.layouts.descriptor import Descriptor
from heaphound.layouts.open_numbers import OpenNumbers, read_open
from heaphound.layouts.schema import Layout, TypeLayout, merge_types, read_types

_CORECLR_BEFORE_5 = 4
ARCHITECTURES = ("x64", "arm64")
DACTableWidth = Literal["u32 offset from the image base", "u64 address"]
WIDTHS: Mapping[str | int, DACTableWidth] = {
    "u32 offset from the image base": "u32 offset from the image base",
    "u64 address": "u64 address",
}
OPTIONAL_SECTIONS = {"servicing", "open"}
SECTIONS = {"runtime", "version", "architecture", "origin", "handle_kinds", "contracts", "constants", "types", "dac_table"}
# A file that names another states only what differs from it: most structures of two 64-bit machines are equal.
DIFFERENCES = "differs_from"


@dataclass(frozen=True)
class DACTable:
    """Shape of `g_dacTable` (src/coreclr/inc/dacvars.h): what an entry holds, and at which index which global is.

    A global is (index, bytes to add): the latter for one element of an array that the table names as a whole. `moved` are the globals that
    lie elsewhere in patches of the version whose table has more variables, by the index of the first vtable, which those push back too.
    """

    entry_count: int
    holds: DACTableWidth
    globals: Mapping[str, tuple[int, int]]
    moved: Mapping[int, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def entry_bytes(self) -> int:
        """Size of one entry in bytes."""
        return 4 if self.holds == "u32 offset from the image base" else 8

    def places(self, first_vtable: int | None) -> dict[str, tuple[int, int]]:
        """Where each global is in a table whose first vtable has that index; None where that is not known."""
        return {**self.globals, **(self.moved.get(first_vtable, {}) if first_vtable is not None else {})}


@dataclass(frozen=True)
class LayoutFile:
    """One data file: a layout without the addresses that only a dump has, and the means to find those.

    `servicing` are fields that moved in a patch of the version: first patch (`3.1.13`) to the types that hold from there on. `open` are
    numbers to look for in the dump where a self-check does not agree, `found` the names of those that were taken so.
    """

    layout: Layout
    dac_table: DACTable
    origin: Mapping[str, str]
    servicing: Mapping[str, Mapping[str, TypeLayout]] = field(default_factory=dict)
    open: tuple[OpenNumbers, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """What the reader must know of the file, `from source, never run`; empty where its numbers were observed on the build named."""
        return self.origin.get("status", "")


def product_version(major: int, minor: int, third: int) -> str | None:
    """The product's version by the numbers of a version text in an image: the third is patch and year (`9.0.1125.x` is 9.0.11), and so was
    the second up to 3.1 (`3.100.220.x` is 3.1.2). None for 4.x, by which CoreCLR alone was numbered before .NET 5 (4.700: 3.0 and 3.1).
    """
    if major == _CORECLR_BEFORE_5:
        return None
    return f"{major}.{minor // 100 if major < _CORECLR_BEFORE_5 else minor}.{third // 100}"


def supported_versions(architecture: str = "x64") -> list[str]:
    """major.minor of every layout file of that architecture, ascending."""
    names = (entry.name for entry in resources.files("heaphound.layouts").joinpath("data").iterdir())
    found = [match.group(1) for name in names if (match := re.fullmatch(rf"coreclr-(\d+\.\d+)-{architecture}\.json", name))]
    return sorted(found, key=_numbers)


def layout_file(version: str, architecture: str, build_id: str | None) -> LayoutFile:
    """The layout file for a runtime `version` such as 9.0.11; UnsupportedRuntime when there is none: a neighbour's is never used."""
    wanted = ".".join(version.split(".")[:2])
    if wanted in supported_versions(architecture):
        return _for_patch(_load(wanted, architecture), version)
    known = "; ".join(f"{', '.join(supported_versions(machine))} on {machine}" for machine in ARCHITECTURES)
    raise UnsupportedRuntime(
        f"no layout for .NET {version} {architecture} (build-id {build_id or 'unknown'}); there are layouts for {known}: "
        f"update heaphound, or add layouts/data/coreclr-{wanted}-{architecture}.json as CONTRIBUTING.md describes"
    )


def raw_layout_file(version: str, architecture: str = "x64") -> dict[str, Any]:
    """The JSON of the layout file of a major.minor, laid over that of the file it differs from. UnsupportedRuntime when there is none."""
    if version not in supported_versions(architecture):
        raise UnsupportedRuntime(
            f"no layout for .NET {version} {architecture}; there are layouts for {', '.join(supported_versions(architecture))}"
        )
    name = f"coreclr-{version}-{architecture}.json"
    return dict(_whole(_text(name), name, _text))


def with_descriptor(layout: Layout, descriptor: Descriptor) -> Layout:
    """The file's layout with everything that the dump's own descriptor says laid over it."""
    over = replace(
        layout,
        types=merge_types(layout.types, descriptor.types),
        constants={**layout.constants, **descriptor.literals},
        contracts={**layout.contracts, **descriptor.contracts},
    )
    return over.with_globals(descriptor.addresses, "descriptor")


def parse_layout_file(text: str, name: str, other: Callable[[str], str] | None = None) -> LayoutFile:
    """A layout file out of its JSON; LayoutError naming the file and the entry that is wrong.

    `other` gives the text of the file that this one may name as the one it differs from; without it, it must stand alone.
    """
    raw = _whole(text, name, other)
    if not isinstance(raw, dict) or set(raw) - OPTIONAL_SECTIONS != SECTIONS:
        raise LayoutError(f"{name} has sections {sorted(raw)}, not {sorted(SECTIONS)}")
    constants, contracts, kinds, origin = raw["constants"], raw["contracts"], raw["handle_kinds"], raw["origin"]
    if not isinstance(constants, dict) or not all(type(value) is int for value in constants.values()):
        raise LayoutError(f"{name}: a constant is not an integer")
    if not isinstance(contracts, dict) or not all(isinstance(value, str) or type(value) is int for value in contracts.values()):
        raise LayoutError(f"{name}: a contract is neither a name nor a number")
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise LayoutError(f"{name}: handle_kinds is not a list of names")
    if not isinstance(origin, dict) or not {"build", "source", "method", "date"} <= set(origin):
        raise LayoutError(f"{name}: origin must say build, source, method and date")
    layout = Layout(raw["version"], read_types(raw["types"], "layout file"), constants, contracts, tuple(kinds))
    table, servicing = _read_dac_table(raw["dac_table"], name), _read_servicing(raw.get("servicing", {}), name)
    return LayoutFile(layout, table, origin, servicing, read_open(raw.get("open", []), layout.types, table.globals, name))


def _whole(text: str, name: str, other: Callable[[str], str] | None) -> Any:
    """The file's JSON, laid over that of the file it differs from. Entries that are null there are left out: this machine has none such."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise LayoutError(f"{name} is not JSON: {error}") from error
    if not isinstance(raw, dict) or DIFFERENCES not in raw:
        return raw
    below = raw.pop(DIFFERENCES)
    if other is None or not isinstance(below, str) or not re.fullmatch(r"coreclr-\d+\.\d+-[a-z0-9]+\.json", below) or below == name:
        raise LayoutError(f"{name} differs from {below!r}, which is no other layout file")
    return _laid_over(_whole(other(below), below, None), raw)


def _laid_over(below: object, above: object) -> object:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    merged = {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    return {key: value for key, value in merged.items() if value is not None}


def _read_servicing(raw: object, name: str) -> dict[str, dict[str, TypeLayout]]:
    if not isinstance(raw, dict) or not all(re.fullmatch(r"\d+\.\d+\.\d+", patch) for patch in raw):
        raise LayoutError(f"{name}: servicing must name patches such as 3.1.13")
    return {patch: read_types(types, "layout file") for patch, types in raw.items()}


def _for_patch(file: LayoutFile, version: str) -> LayoutFile:
    """The file with what moved up to a patch laid over it."""
    layout = file.layout
    for patch in sorted(file.servicing, key=_numbers):
        if _numbers(version) >= _numbers(patch):
            layout = layout.with_types(file.servicing[patch])
    return replace(file, layout=layout)


def _read_dac_table(raw: object, name: str) -> DACTable:
    if not isinstance(raw, dict) or set(raw) - {"moved"} != {"entries", "holds", "globals"} or not isinstance(raw["globals"], dict):
        raise LayoutError(f"{name}: dac_table must have entries, holds and globals")
    count, holds = raw["entries"], raw["holds"]
    if type(count) is not int or not isinstance(holds, str) or holds not in WIDTHS:
        raise LayoutError(f"{name}: dac_table has {count!r} entries that hold {holds!r}")
    moved = raw.get("moved", {})
    if not isinstance(moved, dict) or not all(index.isdecimal() and isinstance(places, dict) for index, places in moved.items()):
        raise LayoutError(f"{name}: dac_table's moved must name indices of the first vtable")
    places_moved = {int(index): _read_places(places, count, name) for index, places in moved.items()}
    return DACTable(count, WIDTHS[holds], _read_places(raw["globals"], count, name), places_moved)


def _read_places(raw: dict[str, Any], count: int, name: str) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    for global_name, value in raw.items():
        pair = value if isinstance(value, list) else [value, 0]
        if len(pair) != 2 or not all(type(number) is int for number in pair) or not 0 <= pair[0] < count:
            raise LayoutError(f"{name}: dac_table's {global_name} is {value!r}")
        places[global_name] = (pair[0], pair[1])
    return places


@cache
def _load(major_minor: str, architecture: str) -> LayoutFile:
    name = f"coreclr-{major_minor}-{architecture}.json"
    return parse_layout_file(_text(name), name, _text)


def _text(name: str) -> str:
    return resources.files("heaphound.layouts").joinpath("data", name).read_text(encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
