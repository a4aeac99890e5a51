"""``heaphound path``: what keeps an object alive."""

import click

from heaphound.cli.options import ADDRESS, DumpOptions, dump_options, limit_option
from heaphound.cli.show import answer, show

NAME = "path"
SUMMARY = "What keeps an object alive"
HELP = """Show why the object at ADDRESS is alive: the shortest path from each root that reaches it, with the fields that lead on.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.path(0x7F3B569829D8).result.paths)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.argument("address", type=ADDRESS)
@click.option("--all", "every", is_flag=True, help="A path from every root that reaches it.")
@limit_option(10)
def command(options: DumpOptions, address: int, every: bool, limit: int) -> None:
    """Print the paths."""
    show(NAME, options, answer(options, lambda dump: dump.path(address, limit=None if every else limit or None)))
