"""The layout file of a new version out of that of the version before, the runtime's own descriptor, g_dacTable and its DAC."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heaphound.layouts.descriptor import Descriptor
from heaphound.layouts.schema import TypeLayout
from heaphound.runtime.locate import FoundRuntime
from tools.dac.derive import Derived, derive
from tools.dac.evidence import Evidence
from tools.dac.observe import Shown
from tools.dac.path import GLOBAL
from tools.dac_table import DacTable
from tools.layout_text import number_in

VTABLE, IDENTIFIER = "VTableIndex.", "Identifier"
NO_DESCRIPTOR = Descriptor({}, {}, {}, {}, {})


@dataclass(frozen=True)
class Draft:
    """The new file, and the numbers in it that a source gave, by the names that ways have for them: the others are copied or guessed."""

    raw: dict[str, Any]
    described: frozenset[str]
    derived: Derived | None


def draft(raw: dict[str, Any], found: FoundRuntime, descriptor: Descriptor | None, table: DacTable, shown: Shown | None = None) -> Draft:
    """The older file `raw` with what the new runtime says: its descriptor first, then its DAC; both only where there is one."""
    said = descriptor or NO_DESCRIPTOR
    types = {name: dict(fields) for name, fields in raw["types"].items()}
    for name, layout in said.types.items():
        types.setdefault(name, {}).update(_compact(layout))
    literals = {name: value for name, value in said.literals.items() if name in raw["constants"] or _is_new(name, raw)}
    places = {name: table.entries.index(address) for name, address in said.addresses.items() if address in table.entries}
    new = {
        **raw,
        "version": ".".join(found.version.split(".")[:2]),
        "origin": {
            **raw["origin"],
            "build": f"{found.version}, {found.commit}",
            "method": f"drafted from {raw['version']}; {raw['origin']['method']}",
        },
        "constants": {**raw["constants"], **literals},
        "types": types,
        "dac_table": {**raw["dac_table"], "entries": len(table.entries), "holds": table.holds},
    }
    described = {f"{name}.{field}" for name, layout in said.types.items() for field in layout.fields} | {
        f"{GLOBAL}{name}" for name in places
    }
    derived = None
    if shown is not None:
        added = {name: value[1] for name, value in raw["dac_table"]["globals"].items() if isinstance(value, list)}
        older = raw["dac_table"]["globals"]
        derived = derive(Evidence(shown.observed, table.places, added), numbers_in(types, {**older, **places}))
        _write(types, derived.numbers, derived.changed)
        places |= {
            name.removeprefix(GLOBAL): derived.numbers[name] for name in {*derived.confirmed, *derived.changed} if name.startswith(GLOBAL)
        }
        new["constants"] = with_frames(new["constants"], shown.frames)
    new["dac_table"]["globals"] = _places(raw["dac_table"]["globals"], places, len(table.entries))
    return Draft(new, frozenset(described), derived)


def numbers_in(types: Mapping[str, Any], globals_: Mapping[str, Any]) -> dict[str, int]:
    """The numbers of a file by the names that ways have for them: `Type.Field`, `Type.!`, `global NAME`."""
    offsets = {f"{name}.{field}": number_in(value) for name, fields in types.items() for field, value in fields.items()}
    return offsets | {f"{GLOBAL}{name}": number_in(value) for name, value in globals_.items()}


def frame_constants(frames: Mapping[str, int]) -> dict[str, int]:
    """The constants that say which Frame is which: by the place of its vtable behind the first one, or by its identifier."""
    if not any("Frame" not in name for name in frames):
        return {f"{name}{IDENTIFIER}": number for name, number in frames.items()}
    first = min(frames.values())
    return {f"{VTABLE}{name}": place - first for name, place in frames.items() if "Frame" in name}


def with_frames(constants: Mapping[str, int], frames: Mapping[str, int]) -> dict[str, int]:
    """The constants with those of Frames as the build has them; all stay where the DAC names none."""
    if not frames:
        return dict(constants)
    others = {name: value for name, value in constants.items() if not is_of_frame(name)}
    return {**others, **frame_constants(frames)}


def is_of_frame(constant: str) -> bool:
    """Whether the constant says which Frame is which."""
    return constant.startswith(VTABLE) or constant.endswith(f"Frame{IDENTIFIER}")


def _write(types: dict[str, Any], numbers: Mapping[str, int], changed: Mapping[str, list[str]]) -> None:
    for name in changed:
        type_name, _, field = name.partition(".")
        if not name.startswith(GLOBAL):
            fields = types.setdefault(type_name, {})
            before = fields.get(field)
            fields[field] = [numbers[name], *before[1:]] if isinstance(before, list) else numbers[name]


def _places(older: dict[str, Any], known: Mapping[str, int], count: int) -> dict[str, Any]:
    """Index of each global: the known one, else by its distance from the nearest known one in the older file."""
    anchors = {number_in(older[name]): known[name] for name in known if name in older}
    places: dict[str, Any] = {}
    for name, value in {**known, **older}.items():
        if name in known:
            index = known[name]
        elif anchors:
            nearest = min(anchors, key=lambda anchor: abs(anchor - number_in(value)))
            index = anchors[nearest] + number_in(value) - nearest
        else:
            continue
        places[name] = [index, value[1]] if isinstance(value, list) else index
    return {name: place for name, place in places.items() if 0 <= number_in(place) < count}


def _compact(layout: TypeLayout) -> dict[str, Any]:
    size = {} if layout.size_bytes is None else {"!": layout.size_bytes}
    return size | {
        name: field.offset if field.type_name is None else [field.offset, field.type_name] for name, field in layout.fields.items()
    }


def _is_new(name: str, raw: dict[str, Any]) -> bool:
    return name not in raw["contracts"] and name not in raw["types"]
