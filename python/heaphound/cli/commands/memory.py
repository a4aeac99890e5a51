"""``heaphound memory``: where all the bytes went."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "memory"
SUMMARY = "Where all bytes of the process went"
HELP = """Say where the memory of the process went: GC heap (used, free, committed), code,
loader heaps, stacks, images, mapped files, native.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.memory().result.parts)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--ranges", is_flag=True, help="List every range of addresses too.")
def command(options: DumpOptions, ranges: bool) -> None:
    """Print the breakdown."""
    show(NAME, options, answer(options, lambda dump: dump.memory(ranges=ranges)))
