"""``heaphound stack``: frames of threads."""

import click

from heaphound.cli.options import DumpOptions, ThreadType, dump_options, limit_option, strings_option
from heaphound.cli.show import answer, show
from heaphound.errors import UsageError

NAME = "stack"
SUMMARY = "Stacks of threads, one by one or merged"
HELP = """Show the managed stack of THREAD (its managed id, else its OS id, as 0x1a2b too, else its name), or of all threads.

Frames are found by the runtime's own unwind information and explicit Frames; source lines need the PDBs. With --parallel the
stacks of all threads are merged into one tree, outermost frames first.

[handler] is a catch, finally or filter block that runs. [unwound] is a frame that the exception being handled has left behind:
it tells where the exception came from, nothing in it runs again, and it keeps nothing alive.

With --native the frames of native code are there too, and the threads that run nothing else: they are found by the call frame
information of their images, and named by the symbols in the dump or in the same files on disk (--binaries).

With -a each frame shows its arguments and locals, by name where metadata and PDB tell, and the references that no variable
names. Optimised code keeps few of them: what is not there is said to be not available. Contents of strings need --strings.

Text folds recursion. Of a stack with more frames than --limit the outermost 20 follow, and the number of those left out.

\b
In Python:
  dump = heaphound.open("core.4242")
  print(dump.stack(1).result.threads[0].frames)"""


@click.command(NAME, help=HELP, short_help=SUMMARY)
@dump_options
@click.argument("thread", type=ThreadType(), required=False, default=None)
@click.option("--all", "all_threads", is_flag=True, help="All threads, which is the default.")
@click.option("--parallel", is_flag=True, help="Merge the stacks of all threads into one tree.")
@click.option("--native", is_flag=True, help="Also frames of native code, and threads that run nothing else.")
@click.option("-a", "--variables", is_flag=True, help="Show arguments, locals and further references of each frame.")
@strings_option
@limit_option(1000)
def command(
    options: DumpOptions,
    thread: int | str | None,
    all_threads: bool,
    parallel: bool,
    native: bool,
    variables: bool,
    strings: bool,
    limit: int,
) -> None:
    """Print the stacks."""
    if thread is not None and all_threads:
        raise UsageError("name a thread, or give --all: not both")
    if parallel and variables:
        raise UsageError("a merged tree has no variables: give --parallel or -a, not both")
    found = answer(
        options,
        lambda dump: dump.stack(thread, parallel=parallel, limit=limit or None, native=native, variables=variables, strings=strings),
    )
    show(NAME, options, found)
