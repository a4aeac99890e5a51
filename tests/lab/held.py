"""Whether a dump that lacks memory answers what the whole dump answers, row by row, and what of that it lacks.

Something is lacking where the part's answer says so: a row that is not there, None, or words such as "not in this dump" and "(?)" in a
name. Everything else must be equal.
"""

from collections.abc import Iterator, Mapping
from typing import Any

UNKNOWN_ARGUMENTS = "(?)"
MARKS = ("not in this dump", "not in the dump", "<unreadable", "<module at 0x", "<type 0x", "<field 0x", "<method 0x")
Rows = Mapping[Any, Mapping[str, Any]]


class Differs(Exception):
    """Something that the part has, and that is something else in the whole."""


def lacking_rows(part: Rows, whole: Rows, noun: str) -> str | None:
    """What of the rows of `whole` is lacking in `part`, in words, None for nothing. Raises Differs."""
    added = [key for key in part if key not in whole]
    if added:
        raise Differs(f"{len(added)} {noun} that the whole dump has not, one: {part[added[0]]}")
    absent = sum(key not in part for key in whole)
    details: dict[str, int] = {}
    for key in part:
        for place in dict.fromkeys(lacking(part[key], whole[key])):
            details[place] = details.get(place, 0) + 1
    found = [f"{absent} of {len(whole)} {noun}"] if absent else []
    found += [f"{place.replace('_', ' ')} of {count} of {len(whole)} {noun}" for place, count in details.items()]
    return ", ".join(found) or None


def lacking(part: Any, whole: Any, where: str = "") -> Iterator[str]:
    """The names of the values that `whole` has and `part` does not know. Raises Differs at the first that it knows to be another."""
    if part == whole:
        return
    if part is None or (isinstance(part, str) and isinstance(whole, str | None) and _is_lacking(part, whole or "")):
        yield where
    elif isinstance(part, Mapping) and isinstance(whole, Mapping) and part.keys() == whole.keys():
        for key, value in whole.items():
            yield from lacking(part[key], value, str(key))
    elif isinstance(part, list | tuple) and isinstance(whole, list | tuple) and len(part) == len(whole):
        for one, other in zip(part, whole, strict=True):
            yield from lacking(one, other, where)
    else:
        raise Differs(f"{where}: {part} instead of {whole}")


def _is_lacking(part: str, whole: str) -> bool:
    """Whether a text says that it does not know, and agrees in what it says."""
    if part.endswith(UNKNOWN_ARGUMENTS):
        return whole.startswith(part.removesuffix("?)"))
    return any(mark in part for mark in MARKS)
