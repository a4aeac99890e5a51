"""Field values of both sides brought into one form, so that they can be compared key by key."""

import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from heaphound.address import Address
from heaphound.results.object import Absence, DelegateTarget, ElementRow, EnumValue, FieldRow, Reference, StructValue

Flat = dict[str, Any]
LARGEST_SINGLE = 3.4028234663852886e38


def flat_fields(fields: Iterable[FieldRow], before: str = "") -> Iterator[tuple[str, Any]]:
    """(path, (declaring type, offset, value)) of our fields, those of nested value types by a dotted path."""
    for field in fields:
        yield from flat_value(f"{before}{field.name}", (field.declaring_type, field.offset), field.value)


def flat_elements(elements: Iterable[ElementRow]) -> Iterator[tuple[str, Any]]:
    for element in elements:
        yield from flat_value(f"[{element.index}]", (), element.value)


def flat_value(path: str, place: tuple[Any, ...], value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, StructValue):
        yield path, (*place, value.type)
        yield from flat_fields(value.fields, f"{path}.")
    else:
        yield path, (*place, plain(value))


def plain(value: Any) -> Any:
    """Addresses as text, because the oracle prints pointers and references so."""
    match value:
        case Address():
            return hex(value)
        case Reference():
            return hex(value.address), value.type
        case EnumValue():
            return value.name, value.value
        case Absence():
            return "absent", value.kind
        case float():
            return single_precision(value)
        case _:
            return value


def single_precision(value: float) -> float:
    """The nearest float32 of a broken number: the oracle prints a Single by its shortest digits, which are another double."""
    if not math.isfinite(value) or value.is_integer() or abs(value) > LARGEST_SINGLE:
        return value
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def oracle_fields(fields: Iterable[dict[str, Any]], before: str = "") -> Iterator[tuple[str, Any]]:
    for field in fields:
        yield from oracle_value(f"{before}{field['name']}", (field["declared_in"], field["offset"]), field["value"])


def oracle_elements(elements: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for index, element in enumerate(elements):
        yield from oracle_value(f"[{index}]", (), element)


def oracle_value(path: str, place: tuple[Any, ...], value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case {"at": _, "fields": fields, "type": name}:
            yield path, (*place, name)
            yield from oracle_fields(fields, f"{path}.")
        case {"at": _, "type": name}:
            yield path, (*place, name)
        case {"address": address, "type": name}:
            yield path, (*place, (address, name))
        case {"enum": name, "value": number}:
            yield path, (*place, (None if name == str(number) else name, number))
        case float():
            yield path, (*place, single_precision(value))
        case _:
            yield path, (*place, value)


def without_what_the_oracle_leaves_open(flat: Flat, oracle: Flat) -> Flat:
    """`flat` without the fields below a struct that the oracle does not resolve: too deep for it, or generic with open parameters.

    The struct itself stays, so that the difference in its type has to be explained.
    """
    fields = {path.rpartition(".")[0] for path in oracle if "." in path}
    closed = {path for path, value in oracle.items() if isinstance(value[-1], str) and "<T1" in value[-1]}
    closed |= {path for path, value in oracle.items() if isinstance(value[-1], str) and path not in fields}
    return {path: value for path, value in flat.items() if not any(above in closed for above in parents(path))}


def parents(path: str) -> Iterator[str]:
    """`a.b.c` → `a.b`, `a`."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def flat_targets(targets: Iterable[DelegateTarget]) -> Iterator[tuple[str, Any]]:
    for index, one in enumerate(targets):
        yield f"target {index}", (plain(one.target), *method_shape(one.method))


def oracle_targets(targets: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for index, one in enumerate(targets):
        target = one["target"]
        yield f"target {index}", (None if target is None else (target["address"], target["type"]), *method_shape(one["method"]))


def method_shape(signature: str) -> tuple[str, int]:
    """Full name without generic arguments, and the number of parameters: the two write the types of parameters differently (Int32, `1)."""
    name, bracket, parameters = without_arguments(signature).partition("(")
    return name, parameters.count(",") + 1 if bracket and parameters != ")" else 0


def without_arguments(text: str) -> str:
    """`A<B>.C[[D, E]]` and `A`1.C` → `A.C`. The angle brackets of compiler-made names (`<>c`, `<Main>b__0`) follow no letter and stay."""
    kept, position = "", 0
    while position < len(text):
        if text.startswith("[[", position):
            position = after_closing(text, position, "[", "]")
        elif text[position] == "<" and kept and (kept[-1].isalnum() or kept[-1] == "_"):
            position = after_closing(text, position, "<", ">")
        elif text[position] == "`":
            position += 1
            while text[position : position + 1].isdigit():
                position += 1
        else:
            kept += text[position]
            position += 1
    return kept


def after_closing(text: str, start: int, opening: str, closing: str) -> int:
    """The position behind the bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == opening) - (text[position] == closing)
        if depth == 0:
            return position + 1
    return len(text)
