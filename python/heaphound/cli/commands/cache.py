"""``heaphound cache``: the decompressed dumps that are kept."""

import json
import sys

import click

from heaphound.cli.options import cache_directory_option, json_option
from heaphound.cli.show import library
from heaphound.views.to_json import plain
from heaphound.views.to_text import write_page

NAME = "cache"
SUMMARY = "Decompressed dumps that are kept"
HELP = """List the decompressed dumps that are kept for the next time, or remove them all.

\b
In Python:
  import heaphound
  print(heaphound.cache().entries)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@cache_directory_option
@click.option("--remove", is_flag=True, help="Remove all of them.")
@json_option
def command(cache_directory: str | None, remove: bool, as_json: bool) -> None:
    """Print what is there and what was removed."""
    result = library().cache(cache_directory, remove=remove)
    if as_json:
        json.dump({"schema": "heaphound/cache/1", "result": plain(result)}, sys.stdout)
        sys.stdout.write("\n")
    else:
        from heaphound.views.text.cache import page  # the other commands need it not

        write_page(page(result), sys.stdout)
