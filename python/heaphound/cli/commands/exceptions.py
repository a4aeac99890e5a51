"""``heaphound exceptions``: exception objects on the heap."""

import click

from heaphound.cli.options import DumpOptions, dump_options, limit_option, rows, strings_option
from heaphound.cli.show import answer, show

NAME = "exceptions"
SUMMARY = "Exception objects with their stack traces"
HELP = """List the exception objects on the heap, those that threads hold first, each with the stack that it was thrown through.

Messages are shown only with --strings: they can hold secrets.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.exceptions().result.exceptions)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@strings_option
@limit_option(None)
def command(options: DumpOptions, strings: bool, limit: int | None) -> None:
    """Print the exceptions."""
    show(NAME, options, answer(options, lambda dump: dump.exceptions(strings=strings, limit=rows(limit, options))))
