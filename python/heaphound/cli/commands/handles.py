"""``heaphound handles``: the GC handle table."""

import click

from heaphound.cli.options import DumpOptions, dump_options, limit_option, rows
from heaphound.cli.show import answer, show

NAME = "handles"
SUMMARY = "The GC handle table"
HELP = """List the GC handles with their objects, or count them by kind and type.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.handles(kind="Strong").result.handles)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--kind", default=None, metavar="KIND", help="Only handles of this kind: Strong, Pinned, WeakShort, Dependent ...")
@click.option("--stat", "statistics", is_flag=True, help="Counts by kind and type instead of the handles.")
@limit_option(None)
def command(options: DumpOptions, kind: str | None, statistics: bool, limit: int | None) -> None:
    """Print the table."""
    show(NAME, options, answer(options, lambda dump: dump.handles(kind=kind, statistics=statistics, limit=rows(limit, options))))
