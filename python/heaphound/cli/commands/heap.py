"""``heaphound heap``: the managed heap as the GC lays it out."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "heap"
SUMMARY = "Heaps, generations, segments or regions"
HELP = """Show the managed heap as the GC lays it out: heaps, generations and their fragmentation, segments or regions,
allocation contexts.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.heap().result.generations)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
def command(options: DumpOptions) -> None:
    """Print generations, heaps and segments."""
    show(NAME, options, answer(options, lambda dump: dump.heap()))
