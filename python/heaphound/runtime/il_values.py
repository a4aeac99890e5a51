"""What a value on the evaluation stack is made of: small trees that the flow of one method yields. Compared by identity."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from heaphound.runtime.metadata.member_names import Member

_MAXIMUM_TEXT_DEPTH = 6  # of a chain of calls and fields that is shown
_CAPTURED: Final = re.compile(r"^<(?P<name>\w*)>[45]__\w+$")
_MAXIMUM_OPTIONS = 8  # a value that comes from more places than that says nothing


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A parameter of the method; number 0 is `this` in an instance method."""

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A local variable of which nothing is known at this place."""

    slot: int


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """null (None), a number, or the text of an ldstr."""

    value: int | float | str | None


@dataclass(frozen=True, slots=True, eq=False)
class FieldValue:
    """The content (or address) of a field; `holder` is the object it is read from, None for a static field."""

    field: Member
    holder: "Value | None"


@dataclass(frozen=True, slots=True, eq=False)
class CallResult:
    """What a call returned; `arguments` has the receiver first."""

    method: Member
    arguments: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class NewObject:
    """A new object; the arguments of its constructor, without `this`."""

    constructor: Member
    arguments: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class NewArray:
    """A new one-dimensional array; `type_token` of its elements."""

    type_token: int


@dataclass(frozen=True, slots=True, eq=False)
class FunctionAddress:
    """The address of a method, about to go into a delegate (ldftn, ldvirtftn)."""

    method: Member


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """An element of an array."""

    array: "Value"


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """One of several values, by which way the code came here."""

    options: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class Other:
    """Anything else: arithmetic, a caught exception, a type handle."""

    what: str


Value = Argument | Local | Literal | FieldValue | CallResult | NewObject | NewArray | FunctionAddress | Element | Merged | Other


def options(value: Value) -> Iterator[Value]:
    """The values that this one may be: itself, or the options of a merge."""
    if isinstance(value, Merged):
        yield from value.options
    else:
        yield value


def merged(first: Value, second: Value) -> Value:
    """A value that is one of the two. Options are flat, each once, and bounded."""
    if first is second:
        return first
    distinct: dict[int, Value] = {}
    for value in (*options(first), *options(second)):
        if isinstance(value, Literal) and any(isinstance(known, Literal) and known.value == value.value for known in distinct.values()):
            continue
        distinct[id(value)] = value
    found = tuple(distinct.values())[:_MAXIMUM_OPTIONS]
    return found[0] if len(found) == 1 else Merged(found)


@dataclass(frozen=True, slots=True)
class VariableNames:
    """Names of a method's arguments by number (`this` included) and of its locals by slot, as far as known."""

    arguments: Mapping[int, str] = field(default_factory=dict)
    locals: Mapping[int, str] = field(default_factory=dict)


def describe(value: Value, names: VariableNames | None = None, depth: int = 0) -> str:
    """The value as short C#-like text: `Shop.Hub._hub`, `this._items`, `Shop.Hub.get_Instance()`. Deep chains are cut with `...`."""
    if depth > _MAXIMUM_TEXT_DEPTH:
        return "..."
    match value:
        case FieldValue(read, None):
            return read.full_name
        case FieldValue(read, holder) if holder is not None:
            return _describe_field(read.name, holder, names, depth)
        case CallResult(method, arguments) | NewObject(method, arguments):
            return _describe_call(value, method, arguments, names, depth)
        case Argument(number):
            return (names.arguments.get(number) if names else None) or f"argument {number}"
        case Local(slot):
            return (names.locals.get(slot) if names else None) or f"local {slot}"
        case Literal(content):
            return "null" if content is None else repr(content)
        case FunctionAddress(method):
            return method.full_name
        case Element(array):
            return f"{describe(array, names, depth + 1)}[]"
        case Merged(several):
            return " or ".join(dict.fromkeys(describe(option, names, depth + 1) for option in several))
        case NewArray():
            return "new array"
        case Other(what):
            return what
    return "unknown"


def _describe_field(name: str, holder: Value, names: VariableNames | None, depth: int) -> str:
    """A field of a closure or state machine shows as the variable it was made for (Roslyn: `<>4__this`, `<name>5__N`)."""
    if isinstance(holder, Argument) and holder.number == 0:
        captured = _CAPTURED.match(name)
        if captured:
            return captured["name"] or "this"
    return f"{describe(holder, names, depth + 1)}.{name}"


def _describe_call(
    value: CallResult | NewObject, method: Member, arguments: tuple[Value, ...], names: VariableNames | None, depth: int
) -> str:
    inside = "..." if arguments else ""
    if isinstance(value, NewObject):
        return f"new {method.declaring_type_name}({inside})"
    has_this = bool(method.signature[:1] and method.signature[0] & 0x20)
    if has_this and arguments:
        return f"{describe(arguments[0], names, depth + 1)}.{method.name}({'...' if len(arguments) > 1 else ''})"
    return f"{method.full_name}({inside})"
