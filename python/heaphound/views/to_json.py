"""A result as JSON: one object, stable keys, one row a line, written as it goes so that no long list is held twice."""

import json
import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TextIO

from heaphound.address import Address
from heaphound.results.answer import Answer
from heaphound.results.verify import Checksum

VERSIONS: dict[str, int] = {"exceptions": 2, "tasks": 2}
"""Number of a verb's schema, where it is not 1. It goes up when a key changes its meaning or goes away, never when one is added."""


def write_json(verb: str, answer: Answer[Any], stream: TextIO) -> None:
    """Write ``{"schema": "heaphound/<verb>/<n>", "dump": ..., "coverage": ..., "result": ...}``."""
    schema = json.dumps(f"heaphound/{verb}/{VERSIONS.get(verb, 1)}")
    stream.write(f'{{"schema": {schema},\n "dump": {_dumped(answer.dump)},\n "coverage": {_dumped(answer.coverage)},\n "result": ')
    for piece in _pieces(answer.result):
        stream.write(piece)
    stream.write("}\n")


def plain(value: Any) -> Any:
    """The value in terms of dict, list, str, int, float, bool and None: addresses and checksums as hexadecimal text, records as dicts."""
    record: Any = value.__class__
    if value is None or record in (str, int, bool):
        return value
    if isinstance(value, Address | Checksum):
        return hex(value)
    if isinstance(value, float):
        # JSON has no NaN and no infinity; a field of a dumped object may hold either.
        return value if math.isfinite(value) else str(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {name: plain(getattr(value, name)) for name in _names(record)}
    return value


@cache
def _names(record: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record))


def _dumped(value: Any) -> str:
    # Escaped to ASCII: a .NET string may hold half a surrogate pair, which no encoding of the stream could take.
    return json.dumps(plain(value), ensure_ascii=True, allow_nan=False)


def _pieces(result: Any) -> Iterator[str]:
    opening = "{"
    for name in _names(result.__class__):
        yield f"{opening}\n  {json.dumps(name)}: "
        value = getattr(result, name)
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            yield from _rows(value)
        else:
            yield _dumped(value)
        opening = ","
    yield "}" if opening == "," else "{}"


def _rows(rows: tuple[Any, ...]) -> Iterator[str]:
    opening = "["
    for row in rows:
        yield f"{opening}\n    {_dumped(row)}"
        opening = ","
    yield "]"
