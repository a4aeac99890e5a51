"""The text of a layout file: one entry a line, so that a diff shows what moved."""

import json
from typing import Any


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


def number_in(value: Any) -> int:
    """The number of an entry: of a field its offset, of a global its index; both may stand in a pair with something else."""
    return int(value[0] if isinstance(value, list) else value)


def _moved(table: dict[str, Any]) -> str:
    if "moved" not in table:
        return ""
    rows = ",\n".join(f"   {json.dumps(index)}: {json.dumps(places)}" for index, places in table["moved"].items())
    return f',\n  "moved": {{\n{rows}\n  }}'


def _sorted(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return dict(sorted(value.items(), key=lambda entry: (entry[0] != "!", number_in(entry[1]))))
