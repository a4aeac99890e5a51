"""``heaphound object``: one object from all sides."""

import click

from heaphound.cli.options import ADDRESS, DumpOptions, dump_options, limit_option, strings_option
from heaphound.cli.show import answer, show

NAME = "object"
SUMMARY = "One object: fields, elements, who refers to it"
HELP = """Show the object at ADDRESS: type, size, fields with values, elements, items of a collection,
targets of a delegate, and who refers to it.

The contents of strings are shown only with --strings: they can be secrets.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.object(0x7F3B569829D8).result.fields)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.argument("address", type=ADDRESS)
@strings_option
@limit_option(100)
def command(options: DumpOptions, address: int, strings: bool, limit: int) -> None:
    """Print the object."""
    show(NAME, options, answer(options, lambda dump: dump.object(address, strings=strings, limit=limit or None)))
