"""``heaphound verify``: whether the heap makes sense."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "verify"
SUMMARY = "Whether the heap makes sense; checksums"
HELP = """Check the heap object by object and reference by reference, and print checksums by which another reader of CORE can be compared.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.verify().result.problems)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
def command(options: DumpOptions) -> None:
    """Print sums, checksums and problems."""
    show(NAME, options, answer(options, lambda dump: dump.verify()))
