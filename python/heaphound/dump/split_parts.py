"""Parts of a dump that was split for transport (split(1), archivers), recognised by names that count on."""

from __future__ import annotations

import os
import re

_ELF_MAGIC = b"\x7fELF"
# core.00, core.001, core.aa, core.zst.part1; a name that ends in another way is no part of a row
_COUNTED = re.compile(r"(?P<stem>.*\.(?:part|z)?)(?P<number>\d{1,6}|[a-z]{2,3})", re.DOTALL)
JOIN = "join the parts of a split dump into one file first (cat, in their order)"


def following_part(path: str) -> str | None:
    """The name of the file beside `path` that the next part would have, None where there is none or it begins a core of its own."""
    return _neighbour(path, 1)


def preceding_part(path: str) -> str | None:
    """The name of the file beside `path` that the part before it would have, None where there is none."""
    return _neighbour(path, -1)


def _neighbour(path: str, step: int) -> str | None:
    found = _COUNTED.fullmatch(os.path.basename(path))
    if found is None:
        return None
    number = _counted_on(found["number"], step)
    if number is None:
        return None
    beside = os.path.join(os.path.dirname(path), found["stem"] + number)
    if not os.path.isfile(beside) or (step > 0 and _begins_a_core(beside)):
        return None
    return os.path.basename(beside)


def _counted_on(text: str, step: int) -> str | None:
    """The text's successor or predecessor of the same width; None past either end."""
    if text.isdigit():
        number = int(text) + step
        return None if number < 0 else str(number).zfill(len(text))
    value = 0
    for letter in text:
        value = value * 26 + ord(letter) - ord("a")
    value += step
    if not 0 <= value < 26 ** len(text):
        return None
    letters = []
    for _ in text:
        value, letter_index = divmod(value, 26)
        letters.append(chr(ord("a") + letter_index))
    return "".join(reversed(letters))


def _begins_a_core(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_ELF_MAGIC)) == _ELF_MAGIC
    except OSError:
        return True
