"""Single numbers of a layout file by name: read, replaced, and noted when they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from heaphound.errors import LayoutError
from heaphound.layouts.load import WIDTHS, LayoutFile
from heaphound.layouts.open_numbers import Value
from heaphound.layouts.schema import Field, Layout, TypeLayout


@dataclass(frozen=True)
class RecordingLayout(Layout):
    """A layout that notes by name what is asked for, also contracts and whether a field is there, in the order of asking."""

    names: dict[str, None] = field(default_factory=dict)

    def _note(self, name: str) -> None:
        self.names.setdefault(name)

    def _field(self, type_name: str, field_name: str) -> Field:
        self._note(f"{type_name}.{field_name}")
        return super()._field(type_name, field_name)

    def has(self, type_name: str, field_name: str | None = None) -> bool:
        self._note(f"size of {type_name}" if field_name is None else f"{type_name}.{field_name}")
        return super().has(type_name, field_name)

    def size(self, type_name: str) -> int:
        self._note(f"size of {type_name}")
        return super().size(type_name)

    def constant(self, name: str) -> int:
        self._note(f"constant {name}")
        return super().constant(name)

    def contract(self, name: str) -> str | int:
        self._note(f"contract {name}")
        return super().contract(name)

    def global_address(self, name: str) -> int:
        self._note_global(name)
        return super().global_address(name)

    def has_global(self, name: str) -> bool:
        self._note_global(name)
        return super().has_global(name)

    def _note_global(self, name: str) -> None:
        """The vtable of a class of Frames is found by its place behind the first (`VTableIndex.*`), others by their place in g_dacTable."""
        self._note(f"constant VTableIndex.{name.removesuffix('VTable')}" if name.endswith("VTable") else f"global {name}")


def recording(source: LayoutFile, names: dict[str, None]) -> LayoutFile:
    """The file with a layout that notes what is asked for."""
    given = {part.name: getattr(source.layout, part.name) for part in fields(Layout)}
    return replace(source, layout=RecordingLayout(**given, names=names))


def number_of(source: LayoutFile, name: str) -> Value:
    """The number (contract, width of g_dacTable) of this name; None for a field, size or entry that the file does not have."""
    layout, (kind, _, rest) = source.layout, name.partition(" ")
    if kind == "size":
        known = layout.types.get(rest.removeprefix("of "))
        return None if known is None else known.size_bytes
    if kind == "constant":
        return layout.constants.get(rest)
    if kind == "contract":
        return layout.contracts.get(rest)
    if kind == "global":
        place = source.dac_table.globals.get(rest)
        return None if place is None else place[0]
    if kind == "dac_table":
        return source.dac_table.entry_count if rest == "entries" else source.dac_table.holds
    type_name, _, field_name = name.partition(".")
    found = layout.types[type_name].fields.get(field_name) if type_name in layout.types else None
    return None if found is None else found.offset


def with_numbers(source: LayoutFile, names: Sequence[str], values: Sequence[Value]) -> LayoutFile:
    """The file with other numbers, marked as found by search; None takes a field, constant or global away. LayoutError for no such name."""
    for name, value in zip(names, values, strict=True):
        if number_of(source, name) != value:
            source = replace(_with_number(source, name, value), found=(*(other for other in source.found if other != name), name))
    return source


def _with_number(source: LayoutFile, name: str, value: Value) -> LayoutFile:
    layout, (kind, _, rest) = source.layout, name.partition(" ")
    if kind == "constant":
        constants = {other: number for other, number in layout.constants.items() if other != rest}
        return _with_layout(source, replace(layout, constants=constants | ({rest: value} if isinstance(value, int) else {})))
    if kind == "contract" and isinstance(value, str):
        return _with_layout(source, replace(layout, contracts={**layout.contracts, rest: value}))
    if kind == "global":
        globals_ = {other: place for other, place in source.dac_table.globals.items() if other != rest}
        globals_ |= {} if value is None else {rest: _place(value, source.dac_table.globals.get(rest, (0, 0))[1])}
        return replace(source, dac_table=replace(source.dac_table, globals=globals_))
    if name == "dac_table entries" and isinstance(value, int):
        return replace(source, dac_table=replace(source.dac_table, entry_count=value))
    if name == "dac_table holds" and value is not None and value in WIDTHS:
        return replace(source, dac_table=replace(source.dac_table, holds=WIDTHS[value]))
    type_name, _, field_name = rest.removeprefix("of ").partition(".") if kind == "size" else name.partition(".")
    known = layout.types.get(type_name, TypeLayout({}))
    if kind == "size" and not isinstance(value, str):
        return _with_layout(source, replace(layout, types={**layout.types, type_name: replace(known, size_bytes=value)}))
    if not field_name:
        raise LayoutError(f"no number of a layout is called {name}")
    others = {other: place for other, place in known.fields.items() if other != field_name}
    type_of_field = known.fields[field_name].type_name if field_name in known.fields else None
    others |= {field_name: Field(value, type_of_field, "found by search")} if isinstance(value, int) else {}
    return _with_layout(source, replace(layout, types={**layout.types, type_name: replace(known, fields=others)}))


def _place(value: int | str, added: int) -> tuple[int, int]:
    """Place and bytes to add: a number keeps the bytes that the file adds, `74+224` names its own."""
    if isinstance(value, int):
        return value, added
    place, _, own = value.partition("+")
    return int(place), int(own or 0)


def _with_layout(source: LayoutFile, layout: Layout) -> LayoutFile:
    return replace(source, layout=layout)
