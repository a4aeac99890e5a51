"""The command `heaphound`: its list of verbs, and the place where every error becomes one sentence and an exit code."""

import errno
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, TextIO

import click

from heaphound.cli.api import Library
from heaphound.cli.commands import (
    analyze,
    cache,
    exceptions,
    handles,
    heap,
    info,
    locks,
    memory,
    modules,
    object,
    objects,
    path,
    retained,
    roots,
    stack,
    statics,
    tasks,
    threads,
    types,
    verify,
)
from heaphound.errors import HeaphoundError
from heaphound.views.printable import printable

COMMANDS = (
    analyze.command,
    info.command,
    memory.command,
    heap.command,
    types.command,
    objects.command,
    object.command,
    path.command,
    retained.command,
    statics.command,
    roots.command,
    handles.command,
    threads.command,
    stack.command,
    locks.command,
    exceptions.command,
    tasks.command,
    modules.command,
    verify.command,
    cache.command,
)

EXIT_UNUSABLE = 3
EXIT_INTERRUPTED = 130
OBJECTS_BETWEEN_COLLECTIONS = 100_000  # Python's own, some ten megabytes
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a write to standard output

HELP = """What fills the memory of a .NET process, who holds it, and which code did it: from a Linux core dump alone.

CORE is an ELF core of a process on CoreCLR (createdump, kernel, gcore), plain or compressed (.zst, .gz, .xz, .lz4). No .NET is needed here.

Begin with `heaphound analyze CORE`. Exit codes: 0 fine, 1 found what --fail-on asked for, 2 usage, 3 the dump cannot be used,
130 interrupted."""


class InOrder(click.Group):
    """A group that lists its commands in the order of COMMANDS, the first to use first."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the signature is click's
        """Names in the order in which they were given."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has seen enough (`| head`) is no error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Caught here, as click would end with 1, which means a leak. What is buffered must not raise again when Python closes stdout.
            _drop_what_is_buffered()
            return 0
        except OSError as error:
            if error.errno not in UNWRITABLE or error.filename is not None:
                raise
            _drop_what_is_buffered()
            raise HeaphoundError(f"the answer cannot be written to standard output: {error.strerror}") from error
        return code

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to run; a file in its place is a dump whose command was forgotten."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if os.path.exists(args[0]):
                raise click.UsageError(f"a command comes before the dump: heaphound analyze {args[0]}", ctx) from error
            raise


group = InOrder(
    "heaphound", commands=COMMANDS, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
click.version_option(package_name="heaphound")(group)


def main(arguments: Sequence[str] | None = None, library: Library | None = None) -> int:
    """Run one command and return the exit code. `library` stands in for the package in tests."""
    if sys.stderr is None:  # closed by whoever started the program (`2>&-`), and stdout likewise
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # open for as long as the program runs
    if sys.stdout is None:
        return _say("standard output is closed: there is nowhere to write the answer to", EXIT_UNUSABLE)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        code = group.main(arguments, prog_name="heaphound", standalone_mode=False, obj=library or _package())
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except HeaphoundError as error:
        _traceback_if_wanted()
        return _say(str(error), error.exit_code)
    except MemoryError:
        return _say("not enough memory on this machine for this dump: free some, or use a larger machine", EXIT_UNUSABLE)
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  # the program's one broad except: a bug must not look like an answer
        # A panic of the kernel is no Exception (PyO3's PanicException), and would end with 1, which means a leak.
        _traceback_if_wanted()
        what = f"{type(error).__name__}: {error}"
        return _say(
            f"a bug in heaphound ({what}): please report it with the output of the same command under HEAPHOUND_DEBUG=1", EXIT_UNUSABLE
        )
    return code if isinstance(code, int) else 0


def _drop_what_is_buffered() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _package() -> Library:
    # numpy's linear algebra, which nothing here asks for, starts a thread for each processor unless told not to.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Hardly anything here is in a circle; by default each 700 new objects are looked through for one, a tenth of the time of a small dump.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    # Imported here: `heaphound --help` and a usage error need neither numpy nor the kernel.
    import heaphound

    return heaphound


def _never_fail_to_encode(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _traceback_if_wanted() -> None:
    if os.environ.get("HEAPHOUND_DEBUG") not in (None, "", "0"):
        traceback.print_exc()


def _say(sentence: str, code: int) -> int:
    print(f"heaphound: {printable(' '.join(sentence.split()))}", file=sys.stderr)
    return code
