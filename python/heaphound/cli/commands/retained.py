"""``heaphound retained``: who alone keeps how much alive."""

import click

from heaphound.cli.options import ADDRESS, DumpOptions, dump_options, limit_option
from heaphound.cli.show import answer, show

NAME = "retained"
SUMMARY = "Who alone keeps how much alive"
HELP = """Show the biggest owners of the heap or, with ADDRESS, what one object alone keeps alive and who alone keeps it.

Retained is what would be freed if this one object became unreachable: exact, of the whole graph.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.retained(limit=5).result.owners)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.argument("address", type=ADDRESS, required=False)
@limit_option(20)
def command(options: DumpOptions, address: int | None, limit: int) -> None:
    """Print the owners."""
    show(NAME, options, answer(options, lambda dump: dump.retained(address, limit=limit or None)))
