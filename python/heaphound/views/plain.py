"""A page as plain text for pipes and files: the same bytes for the same dump, whatever the width of any window."""

from typing import TextIO

from heaphound.address import Address
from heaphound.views.page import LABEL_WIDTH, Cell, Fact, Line, Page, Table
from heaphound.views.printable import printable


def write_plain(page: Page, stream: TextIO) -> None:
    """Write every block; numbers without separators, so that any program can read them."""
    for block in page:
        if isinstance(block, Line):
            stream.write(f"{printable(block.text)}\n")
        elif isinstance(block, Fact):
            label = f"{' ' * block.indent}{block.label}"
            stream.write(f"{label.ljust(LABEL_WIDTH - 1)} {printable(block.text)}".rstrip() + "\n")
        else:
            _write_table(block, stream)


def cell_text(cell: Cell) -> str:
    """A cell as the pipe shows it."""
    if cell is None:
        return "-"
    if isinstance(cell, Address):
        return str(cell)
    return printable(cell) if isinstance(cell, str) else str(int(cell))


def _write_table(table: Table, stream: TextIO) -> None:
    widths = [len(column.title) for column in table.columns]
    for row in table.rows:
        for index, cell in enumerate(row):
            widths[index] = max(widths[index], len(cell_text(cell)))
    _write_row([column.title for column in table.columns], widths, table, stream)
    for row in table.rows:
        _write_row([cell_text(cell) for cell in row], widths, table, stream)


def _write_row(cells: list[str], widths: list[int], table: Table, stream: TextIO) -> None:
    padded = [
        cell.rjust(width) if column.align == "right" else cell.ljust(width)
        for cell, width, column in zip(cells, widths, table.columns, strict=True)
    ]
    stream.write("  ".join(padded).rstrip() + "\n")
