"""``heaphound tasks``: async methods that wait, as logical stacks."""

import click

from heaphound.cli.options import DumpOptions, dump_options, limit_option, rows
from heaphound.cli.show import answer, show

NAME = "tasks"
SUMMARY = "Async methods that wait, as logical stacks"
HELP = """Show async methods that have started and not finished as logical stacks: who awaits whom, down to what the innermost
one waits for.

Stacks that are alike are shown once, with their number and what they keep alive.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.tasks().result.stacks)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@limit_option(30)
def command(options: DumpOptions, limit: int | None) -> None:
    """Print the stacks."""
    show(NAME, options, answer(options, lambda dump: dump.tasks(limit=rows(limit, options))))
