"""What a text view consists of, before it is decided whether a terminal or a pipe will show it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from heaphound.address import Address

Style = Literal["plain", "strong", "dim", "good", "bad", "warn"]
Align = Literal["left", "right"]


class Size(int):
    """Bytes: exact in a pipe, in decimal units on a terminal."""

    __slots__ = ()


Cell: TypeAlias = str | int | Address | Size | None
"""None is shown as ``-``: not known or not applicable."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of prose."""

    text: str
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled line: the label in a column of its own, the text beside it."""

    label: str
    text: str
    style: Style = "plain"
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """Heading and alignment of a table's column."""

    title: str
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings. Cells are never cut."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]


Block: TypeAlias = Line | Fact | Table
Page: TypeAlias = Iterable[Block]

LABEL_WIDTH = 9
"""Column at which the text of a Fact begins."""


def numbers(*titles: str) -> tuple[Column, ...]:
    """Right-aligned columns."""
    return tuple(Column(title, "right") for title in titles)


def names(*titles: str) -> tuple[Column, ...]:
    """Left-aligned columns."""
    return tuple(Column(title) for title in titles)
