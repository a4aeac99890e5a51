"""``heaphound roots``: what keeps objects alive from outside the heap."""

import click

from heaphound.cli.options import DumpOptions, dump_options, limit_option, rows
from heaphound.cli.show import answer, show

NAME = "roots"
SUMMARY = "All roots, those of stacks with frame and slot"
HELP = """List what keeps objects alive from outside the heap: static fields, handles, the finalizer queue, slots and registers of frames.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.roots(kind="stack", thread=1).result.roots)"""
KINDS = ("static-field", "thread-static", "strong-handle", "pinned-handle", "finalizer-queue", "stack")


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only roots of this kind.")
@click.option(
    "--thread",
    type=int,
    default=None,
    metavar="ID",
    help="Only what the stack and the thread statics of this thread hold, by its managed id.",
)
@limit_option(None)
def command(options: DumpOptions, kind: str | None, thread: int | None, limit: int | None) -> None:
    """Print the roots."""
    show(NAME, options, answer(options, lambda dump: dump.roots(kind=kind, thread=thread, limit=rows(limit, options))))
