"""``heaphound info``: what the dump is and what can be asked of it."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "info"
SUMMARY = "The runtime, what the dump holds and lacks"
HELP = """Say which runtime CORE holds, where the knowledge of its structures comes from, what the dump holds and lacks, and what follows.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.info().result.runtime)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
def command(options: DumpOptions) -> None:
    """Print the facts."""
    show(NAME, options, answer(options, lambda dump: dump.info()))
