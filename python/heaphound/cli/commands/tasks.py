"""``heaphound tasks``: async methods that wait, as logical stacks."""

import click

from heaphound.cli.options import AddressType, DumpOptions, dump_options, limit_option, rows, strings_option
from heaphound.cli.show import answer, show

NAME = "tasks"
SUMMARY = "Async methods that wait, as logical stacks"
HELP = """Show async methods that have started and not finished as logical stacks: who awaits whom, down to what the innermost
one waits for.

Stacks that are alike are shown once, with their number and what they keep alive. Stacks that wait for different things are
told apart. With --address the one that leads through that object is shown: a state machine, its box or task, what is awaited.

With -a each method shows its arguments and those locals that it needs when it goes on. Contents of strings need --strings.

Threads that block until a task ends stand below the stack of that task. All tasks are counted by how far they have come, and the
exceptions of those that failed are listed, with how many nobody has observed.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.tasks().result.stacks)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--name", "text", default=None, metavar="TEXT", help="Only stacks with a method or type whose name contains this.")
@click.option("--address", type=AddressType(), default=None, help="Only stacks through the object at this address.")
@click.option("-a", "--variables", is_flag=True, help="Show arguments and locals of each method.")
@strings_option
@limit_option(30)
def command(options: DumpOptions, text: str | None, address: int | None, variables: bool, strings: bool, limit: int | None) -> None:
    """Print the stacks."""
    found = answer(
        options,
        lambda dump: dump.tasks(limit=rows(limit, options), text=text, address=address, variables=variables, strings=strings),
    )
    show(NAME, options, found)
