"""A page on a terminal: colour, separators in numbers, prose wrapped to the window. Cells are folded, never cut."""

from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from heaphound.address import Address
from heaphound.views.page import LABEL_WIDTH, Cell, Fact, Line, Page, Size, Style, Table
from heaphound.views.printable import printable
from heaphound.views.quantities import count, size

STYLES: dict[Style, str] = {"plain": "", "strong": "bold", "dim": "dim", "good": "bold green", "bad": "bold red", "warn": "bold yellow"}


def write_terminal(page: Page, stream: TextIO) -> None:
    """Write every block to a terminal; colours as NO_COLOR and the terminal itself allow."""
    console = Console(file=stream, highlight=False, emoji=False, markup=False)
    for block in page:
        if isinstance(block, Line):
            console.print(Text(printable(block.text), STYLES[block.style]))
        elif isinstance(block, Fact):
            console.print(_fact(block))
        else:
            console.print(_table(block))


def _fact(fact: Fact) -> RichTable:
    grid = RichTable.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=LABEL_WIDTH - 1, no_wrap=True)
    grid.add_column(overflow="fold")
    label = Text(f"{' ' * fact.indent}{fact.label}", STYLES[fact.style] if fact.style != "plain" else "cyan")
    grid.add_row(label, Text(printable(fact.text), STYLES[fact.style] if fact.style in ("strong", "dim") else ""))
    return grid


def _table(table: Table) -> Padding:
    rich_table = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in table.columns:
        rich_table.add_column(column.title, justify=column.align, overflow="fold", no_wrap=column.align == "right")
    for row in table.rows:
        rich_table.add_row(*(_cell(cell) for cell in row))
    return Padding(rich_table, (0, 0, 1, 0))


def _cell(cell: Cell) -> Text:
    if cell is None:
        return Text("-", "dim")
    if isinstance(cell, Address):
        return Text(str(cell), "magenta", no_wrap=True)
    if isinstance(cell, Size):
        return Text(size(cell))
    return Text(printable(cell)) if isinstance(cell, str) else Text(count(cell))
