"""The text of a way (see ways.py), read: from where, by which sums of numbers, to which output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Relation = Literal["word", "address", "say", "behind"]
_RELATIONS: Mapping[str, Relation] = {"&": "address", "~": "say", ">": "behind"}
GLOBAL, ANY = "global ", "any"
_LINE = re.compile(r"([&~>]?)([^=]+?) = (?:(global \w+)|(\w+):)?\s*(.*)")


@dataclass(frozen=True)
class Term:
    """A number of the layout by its name (`Type.Field`, `Type.!` for a size), `factor` times; without a name so many bytes.

    The factor is a whole number or the name of a value that the question gives.
    """

    number: str
    factor: str = "1"

    def times(self, given: Mapping[str, int]) -> int:
        """The factor's value."""
        return given[self.factor] if self.factor in given else int(self.factor)


@dataclass(frozen=True)
class Way:
    """From `start` (empty: the first argument) by `steps`, each a sum of terms, with a pointer followed between two steps, to `output`."""

    output: str
    relation: Relation
    start: str
    steps: tuple[tuple[Term, ...], ...]

    @property
    def numbers(self) -> frozenset[str]:
        """Every number on the way; a global is `global NAME`."""
        named = {term.number for step in self.steps for term in step if term.number}
        return frozenset(named | ({self.start} if self.start.startswith(GLOBAL) else set()))


def read_ways(text: str) -> tuple[Way, ...]:
    """One way a line; one that begins with a blank goes on with the line before."""
    return tuple(_read(line) for line in re.sub(r"\n +", " ", text.strip()).splitlines())


def _read(line: str) -> Way:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"no way: {line}")
    sign, output, variable, base, rest = match.groups()
    steps = [tuple(_terms(step)) for step in rest.split("->")]
    return Way(output, _RELATIONS.get(sign, "word"), variable or base or "", tuple(steps))


def _terms(step: str) -> list[Term]:
    terms = []
    for part in filter(None, map(str.strip, step.split("+"))):
        *factor, name = (word.strip().strip("{}") for word in part.split("*"))
        terms.append(Term(name, *factor) if "." in name else Term("", name))
    return terms
