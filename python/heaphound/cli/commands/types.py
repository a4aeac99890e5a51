"""``heaphound types``: how many of what, and how big."""

import click

from heaphound.cli.options import (
    PATTERN,
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
from heaphound.errors import UsageError

NAME = "types"
SUMMARY = "Objects and bytes by type"
HELP = """Count the objects of the heap and their bytes by type, or by namespace, assembly or generation.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.types(by="namespace", live=True).result.types)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option(
    "--by", type=click.Choice(("type", "namespace", "assembly", "generation")), default="type", show_default=True, help="What a row is."
)
@click.option("--live", is_flag=True, help="Only objects that a root reaches.")
@click.option("--dead", is_flag=True, help="Only objects that no root reaches.")
@click.option("--filter", "name", type=PATTERN, default=None, metavar="REGEX", help="Only types whose name matches somewhere.")
@generation_option
@minimum_option
@maximum_option
@sort_option("size", "count", "retained", "name")
@limit_option(None)
def command(
    options: DumpOptions,
    by: str,
    live: bool,
    dead: bool,
    name: str | None,
    generation: str | None,
    minimum: int | None,
    maximum: int | None,
    sort: str,
    limit: int | None,
) -> None:
    """Print the table."""
    if live and dead:
        raise UsageError("--live and --dead exclude each other: give one of them, or neither for all objects")
    answered = answer(
        options,
        lambda dump: dump.types(
            by=by,
            live=live,
            dead=dead,
            minimum_bytes=minimum,
            maximum_bytes=maximum,
            name=name,
            generation=generation,
            sort=sort,
            limit=rows(limit, options),
        ),
    )
    show(NAME, options, answered)
