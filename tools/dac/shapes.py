"""The shapes of a DAC's methods: one record, some numbers, a list, a text, a callback; each turns into an answer with named outputs."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tools.dac.library import Library

Answer = dict[str, int | bytes]
RECORD_BYTES = 4096  # room for any record, also one that has grown
MOST_ENTRIES = 64
MOST_VISITS = 100_000
TEXT_CHARACTERS = 1024
RESULT = "hresult"
_Ask = Callable[[Library, tuple[int, ...]], Answer]


@dataclass(frozen=True)
class Call:
    """One method. `ask(library, arguments)` gives its outputs by name, the HRESULT among them; lists are `name[0]`, ... `name.count`."""

    name: str
    ask: _Ask
    interface: str = ""

    def __str__(self) -> str:
        return self.name


def record(name: str, slot: int, fields: str, interface: str = "", behind: int = 0) -> Call:
    """A method that fills one record of `fields` ("name:bytes ..."), each aligned by its size; `behind` null arguments follow it."""

    def ask(library: Library, arguments: tuple[int, ...]) -> Answer:
        out = ctypes.create_string_buffer(RECORD_BYTES)
        result = library.call(interface, slot, *arguments, ctypes.addressof(out), *[0] * behind)
        return {RESULT: result, **read_fields(out.raw, fields)}

    return Call(name, ask, interface)


def numbers(name: str, slot: int, outputs: str, interface: str = "") -> Call:
    """A method with one u64 out for each of the names."""

    def ask(library: Library, arguments: tuple[int, ...]) -> Answer:
        out = (ctypes.c_uint64 * len(outputs.split()))()
        places = [ctypes.addressof(out) + 8 * index for index in range(len(out))]
        result = library.call(interface, slot, *arguments, *places)
        return {RESULT: result, **dict(zip(outputs.split(), out, strict=True))}

    return Call(name, ask, interface)


def listed(name: str, slot: int, item: str, fields: str = "", interface: str = "", exact: bool = False) -> Call:
    """A method with (count, array, needed): `item[i]`, or `item[i].field` where the entries are records.

    An `exact` one refuses an array of another length than that which it asks for.
    """
    size = size_bytes(fields) if fields else 8

    def ask(library: Library, arguments: tuple[int, ...]) -> Answer:
        out, needed = ctypes.create_string_buffer(MOST_ENTRIES * size), ctypes.c_uint32()
        if exact:
            library.call(interface, slot, *arguments, 0, 0, ctypes.addressof(needed))
        length = min(needed.value, MOST_ENTRIES) if exact else MOST_ENTRIES
        result = library.call(interface, slot, *arguments, length, ctypes.addressof(out), ctypes.addressof(needed))
        answer: Answer = {RESULT: result, f"{item}.count": needed.value}
        for index in range(min(needed.value, MOST_ENTRIES)):
            entry = out.raw[index * size : (index + 1) * size]
            if fields:
                answer |= {f"{item}[{index}].{field}": value for field, value in read_fields(entry, fields).items()}
            else:
                answer[f"{item}[{index}]"] = int.from_bytes(entry, "little")
        return answer

    return Call(name, ask, interface)


def text(name: str, slot: int, output: str) -> Call:
    """A method that gives UTF-16 text and its length, which counts the zero at its end."""

    def ask(library: Library, arguments: tuple[int, ...]) -> Answer:
        out, needed = ctypes.create_string_buffer(2 * TEXT_CHARACTERS), ctypes.c_uint32()
        result = library.call("", slot, *arguments, TEXT_CHARACTERS, ctypes.addressof(out), ctypes.addressof(needed))
        return {
            RESULT: result,
            output: out.raw.decode("utf-16le", "replace").partition("\0")[0].encode("utf-16le", "replace"),
            f"{output}.length": needed.value,
        }

    return Call(name, ask)


def visited(name: str, slot: int, item: str, before: int, more: tuple[int, ...] = ()) -> Call:
    """A method that calls back with three numbers for each entry: `item[i].0`, `.1`, `.2`.

    The function goes in as argument number `before`; `more` are arguments that always follow those asked with.
    """

    def ask(library: Library, arguments: tuple[int, ...]) -> Answer:
        answer: Answer = {}
        seen = 0

        @ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)
        def visit(first: int, second: int, third: int) -> None:
            nonlocal seen
            if seen < MOST_VISITS:
                answer.update({f"{item}[{seen}].0": first, f"{item}[{seen}].1": second, f"{item}[{seen}].2": third & 0xFF})
            seen += 1

        function = ctypes.cast(visit, ctypes.c_void_p).value or 0
        whole = (*arguments, *more)
        result = library.call("", slot, *whole[:before], function, *whole[before:], 0)
        return {RESULT: result, f"{item}.count": seen, **answer}

    return Call(name, ask)


@cache
def _places(fields: str) -> tuple[tuple[str, int, int], ...]:
    found, at = [], 0
    for field in fields.split():
        name, size = field.split(":")
        at = -(-at // int(size)) * int(size)
        found.append((name, at, int(size)))
        at += int(size)
    return tuple(found)


@cache
def size_bytes(fields: str) -> int:
    places = _places(fields)
    widest = max(size for _, _, size in places)
    return -(-(places[-1][1] + places[-1][2]) // widest) * widest


def read_fields(raw: bytes, fields: str) -> dict[str, int]:
    return {name: int.from_bytes(raw[at : at + size], "little") for name, at, size in _places(fields)}
