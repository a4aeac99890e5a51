"""``heaphound statics``: which static holds how much."""

import click

from heaphound.cli.options import DumpOptions, dump_options, limit_option, rows, sort_option
from heaphound.cli.show import answer, show

NAME = "statics"
SUMMARY = "Static fields by what they keep alive"
HELP = """List static and thread-static fields that refer to objects, by the bytes they keep alive, each under the type that declares it.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.statics(limit=10).result.statics)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--type", "type_name", default=None, metavar="NAME", help="Only fields of declaring types whose name contains this.")
@sort_option("retained", "type", "slot")
@limit_option(None)
def command(options: DumpOptions, type_name: str | None, sort: str, limit: int | None) -> None:
    """Print the fields."""
    show(NAME, options, answer(options, lambda dump: dump.statics(type_name=type_name, sort=sort, limit=rows(limit, options))))
