#!/usr/bin/env python3
"""Draft the layout file of a new major.minor of .NET out of one full core of it and the file of the version before.

    tools/make_layout.py CORE --from 10.0 > python/heaphound/layouts/data/coreclr-11.0-x64.json
    tools/make_layout.py CORE --check        # what the file of the core's version says wrongly of this build; exit code 1 if anything

What the runtime's own contract descriptor says is taken from the dump; so are the places of its globals in g_dacTable. All else is copied
from the older file, and where a global is that the descriptor does not name is guessed by its distance from its neighbours. Standard
error says what was taken from where, which contracts changed their number (their algorithm may have changed), and which abilities the
draft has on this very core without the descriptor: each that it lacks names the number to look up in the sources of that version.
"""

import argparse
import json
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from heaphound.dump.core import Core, open_core
from heaphound.errors import HeaphoundError, UsageError
from heaphound.layouts.descriptor import Descriptor, read_descriptor
from heaphound.layouts.load import LayoutFile, layout_file, parse_layout_file
from heaphound.layouts.schema import TypeLayout
from heaphound.runtime.locate import FoundRuntime, find_coreclr, read_dac_table
from heaphound.runtime.runtime import bind_runtime

MAXIMUM_ENTRIES = 512


def layout_text(raw: dict[str, Any]) -> str:
    """A layout file's text: one entry a line, entries sorted by name, the fields of a type by offset."""

    def entries(section: dict[str, Any], indent: str) -> str:
        return ",\n".join(f"{indent}{json.dumps(name)}: {json.dumps(_sorted(value))}" for name, value in sorted(section.items()))

    head = [f" {json.dumps(name)}: {json.dumps(raw[name])}" for name in ("runtime", "version", "architecture")]
    origin = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in raw["origin"].items())
    parts = [*head, f' "origin": {{\n{origin}\n }}', f' "handle_kinds": {json.dumps(raw["handle_kinds"])}']
    parts += [f' "{name}": {{\n{entries(raw[name], "  ")}\n }}' for name in ("contracts", "constants", "types")]
    if "servicing" in raw:
        parts.append(f' "servicing": {json.dumps(raw["servicing"])}')
    if "open" in raw:
        lines = ",\n".join(f"  {json.dumps(entry)}" for entry in raw["open"])
        parts.append(f' "open": [\n{lines}\n ]')
    table = raw["dac_table"]
    parts.append(
        f' "dac_table": {{\n  "entries": {table["entries"]},\n  "holds": {json.dumps(table["holds"])},\n'
        f'  "globals": {{\n{entries(table["globals"], "   ")}\n  }}{_moved(table)}\n }}'
    )
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _moved(table: dict[str, Any]) -> str:
    if "moved" not in table:
        return ""
    rows = ",\n".join(f"   {json.dumps(index)}: {json.dumps(places)}" for index, places in table["moved"].items())
    return f',\n  "moved": {{\n{rows}\n  }}'


def draft(raw: dict[str, Any], found: FoundRuntime, descriptor: Descriptor, table: list[int]) -> dict[str, Any]:
    """The older file with what the descriptor and g_dacTable of the new runtime say."""
    types = {name: dict(fields) for name, fields in raw["types"].items()}
    for name, layout in descriptor.types.items():
        types.setdefault(name, {}).update(_compact(layout))
    literals = {name: value for name, value in descriptor.literals.items() if name in raw["constants"] or _is_new(name, raw)}
    return {
        **raw,
        "version": ".".join(found.version.split(".")[:2]),
        "origin": {
            **raw["origin"],
            "build": f"{found.version}, {found.commit}",
            "method": f"drafted from {raw['version']}; {raw['origin']['method']}",
        },
        "constants": {**raw["constants"], **literals},
        "types": types,
        "dac_table": {**raw["dac_table"], "entries": len(table), "globals": _places(raw["dac_table"]["globals"], descriptor, table)},
    }


def _places(older: dict[str, Any], descriptor: Descriptor, table: list[int]) -> dict[str, Any]:
    """Index of each global: by address if the descriptor names it, else by its distance from the nearest such in the older file."""
    known = {name: table.index(address) for name, address in descriptor.addresses.items() if address in table}
    anchors = {_index(older[name]): known[name] for name in known if name in older}
    places: dict[str, Any] = dict(known)
    for name, value in older.items():
        if name in known or not anchors:
            continue
        nearest = min(anchors, key=lambda anchor: abs(anchor - _index(value)))
        index = anchors[nearest] + _index(value) - nearest
        places[name] = [index, value[1]] if isinstance(value, list) else index
    return {name: place for name, place in places.items() if 0 <= _index(place) < len(table)}


def read_table(core: Core, found: FoundRuntime) -> list[int]:
    """g_dacTable: entries up to the first that is neither empty nor an address in the image. Raises UsageError without the export."""
    if found.dac_table is None:
        raise UsageError("this runtime does not export g_dacTable, or the dump lacks its symbol table")
    end = max(found.module.end, found.module.base + (found.module.headers.span_bytes if found.module.headers else 0))
    entries = read_dac_table(core, found.dac_table, MAXIMUM_ENTRIES, 8, found.module.base)
    stop = next((i for i, entry in enumerate(entries) if entry and not found.module.base <= entry < end), len(entries))
    while stop and entries[stop - 1] == 0:
        stop -= 1
    return entries[:stop]


def abilities(core: Core, found: FoundRuntime, source: LayoutFile) -> list[str]:
    """A line for each ability of the draft on the core, without the dump's own descriptor."""
    try:
        runtime = bind_runtime(core, replace(found, descriptor=None), source)
    except HeaphoundError as error:
        return [f"refused: {error}"]
    return [f"{ability.name}: {ability.failed or 'available'}" for ability in runtime.abilities]


def check(core: Core) -> list[str]:
    """A line for each thing that the file of the core's version has wrong for this build: empty if it serves.

    The file alone must lose no ability, without the dump's descriptor; and where there is a descriptor, the file must say the same.
    """
    found = find_coreclr(core)
    source = layout_file(found.version, core.machine, found.module.build_id)
    wrong = [line for line in abilities(core, found, source) if not line.endswith(": available")]
    if found.descriptor is None:
        return wrong
    descriptor = read_descriptor(core.memory.bytes, found.descriptor)
    for type_name, layout in descriptor.types.items():
        for field, place in layout.fields.items():
            if source.layout.has(type_name, field) and source.layout.offset(type_name, field) != place.offset:
                wrong.append(f"{type_name}.{field}: {source.layout.offset(type_name, field)}, the build says {place.offset}")
    for name, value in descriptor.literals.items():
        if source.layout.has_constant(name) and source.layout.constant(name) != value:
            wrong.append(f"constant {name}: {source.layout.constant(name)}, the build says {value}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("core", help="a full core of the new version (createdump --full)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--from", dest="older", help="major.minor of the file to start from")
    what.add_argument("--check", action="store_true", help="hold the file of the core's version against it")
    arguments = parser.parse_args()
    core = open_core(arguments.core)
    if arguments.check:
        wrong = check(core)
        print("\n".join(wrong) or "the layout file agrees with this build")
        sys.exit(bool(wrong))
    found = find_coreclr(core)
    if found.descriptor is None:
        parser.error(f".NET {found.version} has no contract descriptor: take its offsets from the sources")
    raw = json.loads(resources.files("heaphound.layouts").joinpath("data", f"coreclr-{arguments.older}-x64.json").read_text("utf-8"))
    descriptor = read_descriptor(core.memory.bytes, found.descriptor)
    table = read_table(core, found)
    new = draft(raw, found, descriptor, table)
    text = layout_text(new)
    print(text, end="")
    report(raw, new, descriptor)
    for line in abilities(core, found, parse_layout_file(text, "draft")):
        print(line, file=sys.stderr)


def report(raw: dict[str, Any], new: dict[str, Any], descriptor: Descriptor) -> None:
    """What the reader of the draft has to look at, on standard error."""
    moved = [
        f"{name}.{field}"
        for name, fields in raw["types"].items()
        for field, place in fields.items()
        if name in new["types"] and _index(new["types"][name].get(field, place)) != _index(place)
    ]
    copied = sorted(set(raw["types"]) - set(descriptor.types))
    guessed = sorted(set(new["dac_table"]["globals"]) - set(descriptor.addresses))
    contracts = ", ".join(f"{name} {version}" for name, version in sorted(descriptor.contracts.items()))
    for title, names in (("moved", moved), ("types copied, to be looked up", copied), ("globals guessed by distance", guessed)):
        print(f"{title}: {', '.join(names) or 'none'}", file=sys.stderr)
    print(f"contracts of the runtime: {contracts}", file=sys.stderr)


def _compact(layout: TypeLayout) -> dict[str, Any]:
    size = {} if layout.size_bytes is None else {"!": layout.size_bytes}
    return size | {
        name: field.offset if field.type_name is None else [field.offset, field.type_name] for name, field in layout.fields.items()
    }


def _sorted(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return dict(sorted(value.items(), key=lambda entry: (entry[0] != "!", _index(entry[1]))))


def _index(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def _is_new(name: str, raw: dict[str, Any]) -> bool:
    return name not in raw["contracts"] and name not in raw["types"]


if __name__ == "__main__":
    main()
