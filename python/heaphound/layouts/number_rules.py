"""What the numbers of a layout must be among themselves, whatever dump is read: each rule that is broken names the numbers at fault.

Nothing here knows what a number is. It knows what kind of thing each is, how the headers declare their structures, and which numbers say
the same of one thing in two ways. The runtime's own descriptor is not questioned: it has unions, and names fields of several structures
under one.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from heaphound.layouts.constant_rules import broken_constants
from heaphound.layouts.field_kinds import alignment_bytes, width_bytes
from heaphound.layouts.field_order import END, ORDERS, START, Row
from heaphound.layouts.schema import Broken, Layout

# MachineState of arm64 is unwound where it was captured; the return address of its TransitionBlock is lr among the saved registers.
ONE_PLACE: Final = {
    ("MachineState.Capture", "MachineState.Unwound"),
    ("TransitionBlock.CalleeSavedRegisters", "TransitionBlock.ReturnAddress"),
}
SHARED_PLACES: Final = {"EETypeHashTable"}  # the fields of the table and those of its entries are under one name, as in the descriptor


def with_broken_numbers(layout: Layout) -> Layout:
    """The layout that refuses each number that a rule finds wrong, by name and with the reason, when it is asked for."""
    found = [*broken_constants(layout), *_orders(layout), *_places(layout)]
    broken: dict[str, str] = {}
    for rule in found:
        for name in rule.names:
            broken.setdefault(name, rule.sentence)
    return replace(layout, broken=broken)


def _places(layout: Layout) -> Iterator[Broken]:
    """Fields lie at multiples of their width, within their structure, and not upon each other."""
    for type_name, known in layout.types.items():
        own = sorted((field.offset, f"{type_name}.{name}") for name, field in known.fields.items() if field.origin != "descriptor")
        reached, last = 0, ""
        for offset, name in own:
            if offset % alignment_bytes(name):
                yield Broken((name,), f"{name}: it begins at {offset}, which is no multiple of {alignment_bytes(name)}")
            if offset < reached and type_name not in SHARED_PLACES and not _share(layout, last, name):
                yield Broken((last, name), f"{name}: it begins at {offset}, and {last} ends at {reached}")
            end = offset + width_bytes(layout, name)
            if end > reached:
                reached, last = end, name
        if known.size_bytes is not None and reached > known.size_bytes:
            yield Broken((last, f"size of {type_name}"), f"{last}: it ends at {reached}, and the structure has {known.size_bytes} bytes")


def _share(layout: Layout, first: str, second: str) -> bool:
    return (first, second) in ONE_PLACE and layout.has("CalleeSavedRegisters", "Lr")


def _orders(layout: Layout) -> Iterator[Broken]:
    """Fields that are declared one after the other lie so, in one of the ways that the order is known in."""
    for rows in ORDERS:
        fitting = [row for row in rows if _has_all(layout, row)]
        most = max(map(len, map(_fields, fitting)), default=0)
        breaks = [_first_break(layout, row) for row in fitting if len(_fields(row)) == most]
        if breaks and None not in breaks:
            yield max((broken for broken in breaks if broken is not None), key=lambda broken: broken[0])[1]


def _fields(row: Row) -> list[str]:
    return [item for item in row if isinstance(item, str) and item not in (START, END)]


def _has_all(layout: Layout, row: Row) -> bool:
    return all(layout.has(*name.split(".")) for name in _fields(row))


def _first_break(layout: Layout, row: Row) -> tuple[int, Broken] | None:
    """How far along the row the first field is that is not where the one before it ends, and which these are; None where all are."""
    reached: int | None = None
    before = ""
    for place, item in enumerate(row):
        if item == START or isinstance(item, int):
            reached = (reached or 0) + (item if isinstance(item, int) else 0)
            continue
        name = f"size of {before.partition('.')[0]}" if item == END else item
        found = _number(layout, name)
        if reached is not None and found != reached:
            own = tuple(at_fault for at_fault in (before, name) if at_fault and not _is_described(layout, at_fault))
            return place, Broken(own, f"{name}: it is {found}, while what is declared before it ends at {reached}")
        reached, before = (found or 0) + width_bytes(layout, name), name
    return None


def _number(layout: Layout, name: str) -> int | None:
    type_name, _, field = name.removeprefix("size of ").partition(".")
    known = layout.types[type_name]
    return known.fields[field].offset if field else known.size_bytes


def _is_described(layout: Layout, name: str) -> bool:
    """Whether the runtime itself says so; a size has no origin of its own, and counts as what the file says."""
    type_name, _, field = name.partition(".")
    known = layout.types.get(type_name)
    return known is not None and field in known.fields and known.fields[field].origin == "descriptor"
