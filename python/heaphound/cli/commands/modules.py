"""``heaphound modules``: loaded assemblies."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "modules"
SUMMARY = "Loaded assemblies"
HELP = """List the loaded assemblies with their versions, images and load contexts.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.modules().result.modules)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
def command(options: DumpOptions) -> None:
    """Print the list."""
    show(NAME, options, answer(options, lambda dump: dump.modules()))
