"""The numbers of a layout file, one by one: which there are, which are asked for, and the file with one of them changed.

Two things are no numbers and go with them: which way something is done (a contract), and the order in which kinds of handles are numbered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from dataclasses import field as dataclass_field
from typing import Literal

from heaphound.layouts.load import LayoutFile, layout_file, supported_versions
from heaphound.layouts.schema import Field, Layout, TypeLayout

Kind = Literal["offset", "size", "constant", "global", "contract", "handle kind"]
WORD_BYTES = 8
# By what a field's offset is moved: the width of a pointer, and of what fits where it lies.
STEPS = ((8, (8, -8, 4, -4)), (4, (4, -4, 8, -8)), (2, (2, -2)), (1, (1, -1)))
FLAGS_FROM = 64  # a constant above it is a flag or a mask, below it a count, an index or a number of bits


@dataclass(frozen=True, order=True)
class Number:
    """One number of a layout file. `name` is Type.Field, the type, the constant, the global, the contract or the kind of handles."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return self.name if self.kind == "offset" else f"{self.kind} of {self.name}" if self.kind == "size" else f"{self.kind} {self.name}"

    @property
    def structure(self) -> str:
        """The type that the number belongs to, the constant's or the global's own name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class RecordingLayout(Layout):
    """A layout that notes which of its numbers are asked for."""

    asked: set[Number] = dataclass_field(default_factory=set)

    def _field(self, type_name: str, field_name: str) -> Field:
        self.asked.add(Number("offset", f"{type_name}.{field_name}"))
        return super()._field(type_name, field_name)

    def size(self, type_name: str) -> int:
        self.asked.add(Number("size", type_name))
        return super().size(type_name)

    def constant(self, name: str) -> int:
        self.asked.add(Number("constant", name))
        return super().constant(name)

    def global_address(self, name: str) -> int:
        self.asked.add(Number("global", name))
        return super().global_address(name)

    def contract(self, name: str) -> str | int:
        self.asked.add(Number("contract", name))
        return super().contract(name)


def recording(source: LayoutFile, asked: set[Number]) -> LayoutFile:
    """The file with a layout that notes in `asked` what it is asked for."""
    given = {field.name: getattr(source.layout, field.name) for field in fields(Layout)}
    return replace(source, layout=RecordingLayout(**given, asked=asked))


def numbers(source: LayoutFile) -> list[Number]:
    """Every number of the file."""
    found = [Number("constant", name) for name in source.layout.constants]
    found += [Number("global", name) for name in source.dac_table.globals]
    for name, layout in source.layout.types.items():
        found += [Number("offset", f"{name}.{field}") for field in layout.fields]
        found += [Number("size", name)] if layout.size_bytes is not None else []
    return sorted(found)


def choices(source: LayoutFile) -> list[Number]:
    """Every contract of the file, and every kind of handles, which are asked for with the table of handles."""
    return [Number("contract", name) for name in sorted(source.layout.contracts)] + [
        Number("handle kind", kind) for kind in source.layout.handle_kinds
    ]


def asked_with(number: Number) -> Number:
    """What is asked for when the number is: a kind of handles has a place in a tuple, which nobody asks for by name."""
    return Number("offset", "TableSegment.BlockType") if number.kind == "handle kind" else number


def value(source: LayoutFile, number: Number) -> int:
    """The number as the file has it: of a global its index in g_dacTable."""
    if number.kind == "constant":
        return source.layout.constants[number.name]
    if number.kind == "global":
        return source.dac_table.globals[number.name][0]
    type_name, _, field = number.name.partition(".")
    known = source.layout.types[type_name]
    return (known.size_bytes or 0) if number.kind == "size" else known.fields[field].offset


def with_value(source: LayoutFile, number: Number, changed: int) -> LayoutFile:
    """The file with the number changed."""
    if number.kind == "constant":
        return replace(source, layout=replace(source.layout, constants={**source.layout.constants, number.name: changed}))
    if number.kind == "global":
        globals_ = {**source.dac_table.globals, number.name: (changed, source.dac_table.globals[number.name][1])}
        return replace(source, dac_table=replace(source.dac_table, globals=globals_))
    type_name, _, field = number.name.partition(".")
    known = source.layout.types[type_name]
    if number.kind == "size":
        return _with_type(source, type_name, replace(known, size_bytes=changed))
    moved = {**known.fields, field: replace(known.fields[field], offset=changed)}
    return _with_type(source, type_name, replace(known, fields=moved))


def changes(source: LayoutFile, number: Number) -> Iterator[tuple[str, LayoutFile]]:
    """The file with the number one step off, in each way that is tried, and what the change is.

    Offsets move by a word and by half of one, sizes by a word; flags and masks by one bit; counts and places in g_dacTable by one. A
    contract becomes each other that a file of the same machine has; a kind of handles changes places with the next, or is left out.
    """
    if number.kind == "contract":
        yield from _other_contracts(source, number.name)
        return
    if number.kind == "handle kind":
        yield from _other_kinds(source, number.name)
        return
    known = value(source, number)
    if number.kind == "constant":
        yield from _constant_changes(source, number, known)
    elif number.kind == "global":
        for delta in (1, -1):
            if 0 <= known + delta < source.dac_table.entry_count:
                yield f"index {delta:+}", with_value(source, number, known + delta)
        if source.dac_table.globals[number.name][1]:
            yield "+8 in it", _with_element(source, number.name)
    elif number.kind == "size":
        for delta in (WORD_BYTES, -WORD_BYTES):
            if known + delta > 0:
                yield f"{delta:+}", with_value(source, number, known + delta)
    else:
        steps = next(steps for width, steps in STEPS if known % width == 0)
        for delta in steps:
            if known + delta >= 0:
                yield f"{delta:+}", with_value(source, number, known + delta)


def shifted(source: LayoutFile, type_name: str, first: int, delta: int) -> LayoutFile:
    """The file with all fields of a structure from offset `first` on moved by `delta` bytes, as when a field before them came or went."""
    known = source.layout.types[type_name]
    moved = {name: replace(field, offset=field.offset + (delta if field.offset >= first else 0)) for name, field in known.fields.items()}
    return _with_type(source, type_name, replace(known, fields=moved))


def shifted_globals(source: LayoutFile, first: int, delta: int) -> LayoutFile:
    """The file with all places in g_dacTable from `first` on moved by `delta`, as when a variable before them came or went."""
    table = source.dac_table
    moved = {name: (index + (delta if index >= first else 0), added) for name, (index, added) in table.globals.items()}
    return replace(source, dac_table=replace(table, globals=moved))


def _other_contracts(source: LayoutFile, name: str) -> Iterator[tuple[str, LayoutFile]]:
    machine = "arm64" if source.layout.has("CalleeSavedRegisters", "Lr") else "x64"
    files = (layout_file(f"{version}.0", machine, None) for version in supported_versions(machine))
    others = {file.layout.contracts[name]: None for file in files if name in file.layout.contracts}
    for other in others:
        if other != source.layout.contracts[name]:
            contracts = {**source.layout.contracts, name: other}
            yield f"{other}", replace(source, layout=replace(source.layout, contracts=contracts))


def _other_kinds(source: LayoutFile, name: str) -> Iterator[tuple[str, LayoutFile]]:
    kinds = list(source.layout.handle_kinds)
    place = kinds.index(name)
    left_out = kinds[:place] + kinds[place + 1 :]
    yield "left out", replace(source, layout=replace(source.layout, handle_kinds=tuple(left_out)))
    if place + 1 < len(kinds):
        exchanged = [*kinds[:place], kinds[place + 1], name, *kinds[place + 2 :]]
        yield f"exchanged with {kinds[place + 1]}", replace(source, layout=replace(source.layout, handle_kinds=tuple(exchanged)))


def _with_type(source: LayoutFile, name: str, layout: TypeLayout) -> LayoutFile:
    return replace(source, layout=replace(source.layout, types={**source.layout.types, name: layout}))


def _with_element(source: LayoutFile, name: str) -> LayoutFile:
    index, added = source.dac_table.globals[name]
    changed = {**source.dac_table.globals, name: (index, added + WORD_BYTES)}
    return replace(source, dac_table=replace(source.dac_table, globals=changed))


def _constant_changes(source: LayoutFile, number: Number, known: int) -> Iterator[tuple[str, LayoutFile]]:
    steps = (("doubled", known * 2), ("halved", known // 2)) if known > FLAGS_FROM else (("+1", known + 1), ("-1", known - 1))
    for word, changed in steps:
        if changed >= 0:
            yield word, with_value(source, number, changed)
