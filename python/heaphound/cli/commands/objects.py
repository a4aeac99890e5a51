"""``heaphound objects``: addresses."""

import click

from heaphound.cli.options import (
    ADDRESS,
    DumpOptions,
    dump_options,
    generation_option,
    limit_option,
    maximum_option,
    minimum_option,
    rows,
    sort_option,
)
from heaphound.cli.show import answer, show

NAME = "objects"
JSON_ROWS = 100_000
"""A heap has tens of millions of objects, and each row is held until it is printed."""
SUMMARY = "Addresses of objects"
HELP = """List objects with their addresses: all, or those of one type, size or generation.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.objects(type_name="System.String", sort="size", limit=10).result.objects)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--type", "type_name", default=None, metavar="NAME", help="Only objects of the type of exactly this name.")
@click.option(
    "--mt", "method_table", type=ADDRESS, default=None, metavar="ADDRESS", help="Only objects of the type with this method table."
)
@generation_option
@minimum_option
@maximum_option
@sort_option("address", "size", "retained")
@limit_option(None, f"{JSON_ROWS:,}")
def command(
    options: DumpOptions,
    type_name: str | None,
    method_table: int | None,
    generation: str | None,
    minimum: int | None,
    maximum: int | None,
    sort: str,
    limit: int | None,
) -> None:
    """Print the list."""
    answered = answer(
        options,
        lambda dump: dump.objects(
            type_name=type_name,
            method_table=method_table,
            minimum_bytes=minimum,
            maximum_bytes=maximum,
            generation=generation,
            sort=sort,
            limit=rows(limit, options, JSON_ROWS),
        ),
    )
    show(NAME, options, answered)
