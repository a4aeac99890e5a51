"""A page on a terminal: colour, separators in numbers, prose wrapped to the window. Cells are folded, never cut."""

from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from heaphound.address import Address
from heaphound.views.page import LABEL_WIDTH, Cell, Fact, Line, Page, Size, Style, Table
from heaphound.views.printable import printable
from heaphound.views.quantities import count, size

STYLES: dict[Style, str] = {"plain": "", "strong": "bold", "dim": "dim", "good": "bold green", "bad": "bold red", "warn": "bold yellow"}

LEAST_NAME_WIDTH = 24
COLUMN_GAP = 3


def write_terminal(page: Page, stream: TextIO) -> None:
    """Write every block to a terminal; colours as NO_COLOR and the terminal itself allow."""
    console = _console(stream)
    for block in page:
        if isinstance(block, Line):
            console.print(Text(printable(block.text), STYLES[block.style]))
        elif isinstance(block, Fact):
            console.print(_fact(block))
        else:
            # Wider than the window rather than with a cut address: the terminal wraps, and nothing is lost.
            _console(stream, max(console.width, _needed_width(block))).print(_table(block))


def _console(stream: TextIO, width: int | None = None) -> Console:
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def _fact(fact: Fact) -> RichTable:
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=LABEL_WIDTH - 1, no_wrap=True)
    grid.add_column(overflow="fold")
    label = Text(f"{' ' * fact.indent}{fact.label}", STYLES[fact.style] if fact.style != "plain" else "cyan")
    grid.add_row(label, Text(printable(fact.text), STYLES[fact.style] if fact.style in ("strong", "dim") else ""))
    return grid


def _table(table: Table) -> RichTable:
    rich_table = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column, (least, folds) in zip(table.columns, _widths(table), strict=True):
        rich_table.add_column(column.title, justify=column.align, overflow="fold", no_wrap=not folds, min_width=least)
    for row in table.rows:
        rich_table.add_row(*(_cell(cell) for cell in row))
    return rich_table


def _widths(table: Table) -> list[tuple[int, bool]]:
    """(least width, whether it may fold) of each column: numbers and addresses stay whole, names may take several lines."""
    widths = []
    for index, column in enumerate(table.columns):
        cells = [row[index] for row in table.rows]
        widest = max((_cell(cell).cell_len for cell in cells), default=0)
        folds = column.align == "left" and not any(isinstance(cell, Address) for cell in cells)
        widths.append((max(len(column.title), min(widest, LEAST_NAME_WIDTH) if folds else widest), folds))
    return widths


def _needed_width(table: Table) -> int:
    return sum(least + COLUMN_GAP for least, _ in _widths(table))


def _cell(cell: Cell) -> Text:
    if cell is None:
        return Text("-", "dim")
    if isinstance(cell, Address):
        return Text(str(cell), "magenta")
    if isinstance(cell, Size):
        return Text(size(cell))
    return Text(printable(cell)) if isinstance(cell, str) else Text(count(cell))
