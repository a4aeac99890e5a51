"""``heaphound threads``: managed threads and what they do."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "threads"
SUMMARY = "Managed threads: state, locks, exception, what each waits for"
HELP = """List the managed threads: ids, name, state, GC mode, locks held, current exception, what each waits for.

With --json the frames of each thread are there too, at most 1,000 of each.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.threads().result.threads)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--retained", is_flag=True, help="Also the bytes that the stack of each thread alone keeps alive.")
def command(options: DumpOptions, retained: bool) -> None:
    """Print the threads."""
    show(NAME, options, answer(options, lambda dump: dump.threads(retained=retained)))
