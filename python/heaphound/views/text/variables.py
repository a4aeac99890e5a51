"""Arguments, locals and further references of a frame as text."""

from collections.abc import Iterator

from heaphound.results.object import Absence, ByReferenceValue, Reference, StructValue, Value
from heaphound.results.threads import FrameReferenceRow, FrameRow, VariableRow
from heaphound.views.page import Block, Cell, Line, Table, names
from heaphound.views.quantities import count
from heaphound.views.text.values import field_rows, reference_words, value_words

_INDENT = "  "
_Row = tuple[Cell, ...]


def variable_blocks(frame: FrameRow) -> Iterator[Block]:
    """All that a frame holds in one table; of variables without a value one line for each reason: optimised code keeps few."""
    rows = [
        *_variables("argument", _kept(frame.arguments)),
        *_variables("local", _kept(frame.locals)),
        *(_reference(row) for row in frame.references or ()),
    ]
    if rows:
        yield Table(names(_INDENT, "Name", "Value", "Type", "Place"), rows)
    lost: dict[str, list[str]] = {}
    nameless: dict[str, int] = {}
    for row in (*(frame.arguments or ()), *(frame.locals or ())):
        if isinstance(row.value, Absence) and _is_lost(row.value):
            lost.setdefault(row.value.reason, []).extend([] if row.name is None else [row.name])
            nameless[row.value.reason] = nameless.get(row.value.reason, 0) + (row.name is None)
    for reason, found in lost.items():
        others = count(nameless[reason], "variable without a name", "variables without a name")
        words = [*found, *([others] if nameless[reason] else [])]
        yield Line(f"{_INDENT}not available: {', '.join(words)} ({reason})", "dim")


def _kept(rows: tuple[VariableRow, ...] | None) -> tuple[VariableRow, ...]:
    return tuple(row for row in rows or () if not _is_lost(row.value))


def _is_lost(value: Value) -> bool:
    return isinstance(value, Absence) and value.kind == "not available"


def _variables(kind: str, variables: tuple[VariableRow, ...]) -> Iterator[_Row]:
    for row in variables:
        scope = " (out of scope)" if row.in_scope is False else ""
        name = f"{row.number}" if row.name is None else row.name
        yield f"{_INDENT}{kind}{scope}", name, value_words(row.value), row.type, _place(row)
        for _, field, value, kind_of_field, _ in field_rows(row.captured):
            yield f"{_INDENT}  captured", f"{name}.{field}", value, kind_of_field, None
        inner = row.value.target if isinstance(row.value, ByReferenceValue) else row.value
        if isinstance(inner, StructValue) and inner.text is None:
            for _, field, value, kind_of_field, _ in field_rows(inner.fields):
                yield f"{_INDENT}", f"{name}.{field}", value, kind_of_field, None


def _place(row: VariableRow) -> str | None:
    if row.place is None or row.address is None or row.place == str(row.address):
        return row.place
    return f"{row.place} at {row.address}"


def _reference(row: FrameReferenceRow) -> _Row:
    flags = "".join(f", {word}" for word, holds in (("interior", row.interior), ("pinned", row.pinned)) if holds)
    place = row.register if row.offset is None else f"[{row.register}{'-' if row.offset < 0 else '+'}{abs(row.offset):#x}]"
    where = "" if row.address is None else f"{'' if place is None else ' at '}{row.address}"
    words = reference_words(Reference(row.object, row.type, row.text, row.length))
    return f"{_INDENT}reference{flags}", None, words, row.type, f"{place or ''}{where}" or None
