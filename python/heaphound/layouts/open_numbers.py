"""Numbers that a layout file leaves open: others to try where a self-check of the dump does not agree with the file's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from heaphound.errors import LayoutError
from heaphound.layouts.schema import TypeLayout

Value = int | str | None
FARTHEST = 1 << 10
_WORD = 8
_ENTRY_KEYS = ({"numbers", "values"}, {"type"}, {"type", "values"}, {"type", "around"}, {"type", "values", "around"}, {"globals", "around"})


@dataclass(frozen=True)
class OpenNumbers:
    """Numbers that move together, and what else they may be.

    A name is `Thread.Id` (an offset), `size of MethodTable`, `constant NAME`, `contract NAME`, `global NAME` (its place in g_dacTable) or
    `dac_table entries` / `dac_table holds`. `values` are other sets of numbers, seen or read in a version nearby, None where a field is
    not there; then all are moved by up to `around` in steps of `step`.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...] = ()
    around: int = 0
    step: int = 1

    def moved(self, own: Sequence[Value]) -> Iterator[tuple[Value, ...]]:
        """The numbers `own` moved together, from near to far."""
        for distance in range(self.step, self.around + self.step, self.step):
            for delta in (distance, -distance):
                values = tuple(value + delta if isinstance(value, int) else value for value in own)
                if all(not isinstance(value, int) or value >= 0 for value in values):
                    yield values


def read_open(raw: object, types: Mapping[str, TypeLayout], places: Mapping[str, tuple[int, int]], name: str) -> tuple[OpenNumbers, ...]:
    """The groups out of a file's `open` section; LayoutError naming the file and what is wrong. An entry is one of

    - `{"numbers": [...], "values": [[...], ...]}`: these numbers, as they stand;
    - `{"type": "Thread", "values": [{field: offset}, ...], "around": 64}`: a structure as it is in versions nearby, all of those fields at
      once or one by one; and with a member more or less somewhere, so that all fields behind it move;
    - `{"globals": [...], "around": 8}`: the places in g_dacTable, with entries more or less somewhere.
    """
    if not isinstance(raw, list):
        raise LayoutError(f"{name}: open is not a list")
    groups: list[OpenNumbers] = []
    for entry in raw:
        if not isinstance(entry, dict) or set(entry) not in _ENTRY_KEYS:
            raise LayoutError(f"{name}: an entry of open is {entry!r}")
        around = entry.get("around", 0)
        if type(around) is not int or not 0 <= around <= FARTHEST:
            raise LayoutError(f"{name}: an entry of open goes {around!r} far")
        if "numbers" in entry:
            groups.append(_plain(entry, name))
        elif "type" in entry:
            groups += _structure(entry, types, around, name)
        else:
            groups += _behind([f"global {place}" for place in sorted(places, key=lambda place: places[place])], around, 1)
    return tuple(dict.fromkeys(groups))


def _plain(entry: dict[str, object], name: str) -> OpenNumbers:
    names, values = entry["numbers"], entry["values"]
    if not isinstance(names, list) or not names or not all(isinstance(number, str) for number in names) or not isinstance(values, list):
        raise LayoutError(f"{name}: an entry of open is {entry!r}")
    for row in values:
        if not isinstance(row, list) or len(row) != len(names) or not all(value is None or type(value) in (int, str) for value in row):
            raise LayoutError(f"{name}: open {names[0]} has {row!r} for {len(names)} numbers")
    return OpenNumbers(tuple(names), tuple(tuple(row) for row in values))


def _structure(entry: dict[str, object], types: Mapping[str, TypeLayout], around: int, name: str) -> Iterator[OpenNumbers]:
    type_name, values = str(entry["type"]), entry.get("values", [])
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        raise LayoutError(f"{name}: open {type_name} has {values!r}")
    for row in values:
        if not all(value is None or type(value) is int for value in row.values()):
            raise LayoutError(f"{name}: open {type_name} has {row!r}")
        named = {f"size of {type_name}" if field == "!" else f"{type_name}.{field}": value for field, value in row.items()}
        yield OpenNumbers(tuple(named), (tuple(named.values()),))
        if len(named) > 1:
            yield from (OpenNumbers((number,), ((value,),)) for number, value in named.items())
    known = types[type_name].fields if type_name in types else {}
    yield from _behind([f"{type_name}.{field}" for field in sorted(known, key=lambda field: known[field].offset)], around, _WORD)


def _behind(names: list[str], around: int, step: int) -> Iterator[OpenNumbers]:
    """For each number, it and all that lie behind it."""
    if around:
        yield from (OpenNumbers(tuple(names[start:]), (), around, step) for start in range(len(names)))
