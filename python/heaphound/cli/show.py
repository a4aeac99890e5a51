"""From the options of a command to its answer on stdout."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from heaphound.cli.api import Dump, Library
from heaphound.cli.options import DumpOptions
from heaphound.cli.progress import watching
from heaphound.results.answer import Answer
from heaphound.views.to_json import write_json
from heaphound.views.to_text import write_text

ResultT = TypeVar("ResultT")


def library() -> Library:
    """The library of this run: the package itself, or what a test handed to `main` in its place."""
    found: Library = click.get_current_context().obj
    return found


def answer(options: DumpOptions, run: Callable[[Dump], Answer[ResultT]]) -> Answer[ResultT]:
    """Open the dump, ask it, and show progress meanwhile."""
    with watching(sys.stderr, options.progress) as progress:
        dump = library().open(
            options.core,
            symbols=options.symbols,
            binaries=options.binaries,
            cache_directory=options.cache_directory,
            progress=progress,
            system_roots=options.system_roots,
        )
        return run(dump)


def show(verb: str, options: DumpOptions, answered: Answer[Any]) -> None:
    """Print an answer in the form that was asked for."""
    if options.json:
        write_json(verb, answered, sys.stdout)
    else:
        write_text(answered, sys.stdout)
