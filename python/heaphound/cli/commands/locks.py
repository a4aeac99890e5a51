"""``heaphound locks``: who holds which lock, who waits, deadlocks."""

import click

from heaphound.cli.options import DumpOptions, dump_options
from heaphound.cli.show import answer, show

NAME = "locks"
SUMMARY = "Locks held and waited for, deadlocks"
HELP = """List the locks that threads hold or wait for: monitors, locks in object headers, System.Threading.Lock objects.

Threads that wait for each other in a circle are shown first.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.locks().result.deadlocks)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
def command(options: DumpOptions) -> None:
    """Print the locks."""
    show(NAME, options, answer(options, lambda dump: dump.locks()))
