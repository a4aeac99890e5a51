"""Options that several commands share, each defined once, and the kinds of their values."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

GENERATIONS = ("gen0", "gen1", "gen2", "loh", "poh", "frozen")
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4, "ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE)
TEXT_ROWS = 50


class AddressType(click.ParamType[int]):
    """An address: hexadecimal with or without ``0x``, also as debuggers print it (``00007f3b`56982000``)."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error for anything else."""
        if isinstance(value, int):
            return value
        digits = re.sub(r"^0x|[`_]", "", str(value).strip(), flags=re.IGNORECASE)
        if not re.fullmatch(r"[0-9a-fA-F]{1,16}", digits):
            self.fail(f"{value!r} is no address: give it in hexadecimal, such as 0x7f3b569829d8", param, ctx)
        return int(digits, 16)


class ThreadType(click.ParamType[int | str]):
    """A thread: a number, decimal or with ``0x``, or else its name."""

    name = "thread"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:  # noqa: ARG002
        """The number, or the name as it was given."""
        text = str(value)
        if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
            return int(text, 16)
        return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else text


class SizeType(click.ParamType[int]):
    """A size in bytes: ``85000``, ``10k``, ``1.5MB``, ``4GiB``."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes; a usage error for anything else."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size: give bytes, or a number with k, M, G, Ki, Mi or Gi", param, ctx)
        return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


class GenerationType(click.Choice[str]):
    """A generation by its name; ``0``, ``1`` and ``2`` do too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as the library takes it."""
        return super().convert(f"gen{value}" if value in ("0", "1", "2") else value, param, ctx)


class PatternType(click.ParamType[str]):
    """A regular expression, checked here so that a slip in it is a usage error."""

    name = "regex"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The expression as it was given."""
        try:
            re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is no regular expression ({error}); a dot or a bracket in a name needs a backslash", param, ctx)
        return str(value)


ADDRESS = AddressType()
SIZE = SizeType()
PATTERN = PatternType()


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What every command that opens a dump was given."""

    core: str
    json: bool
    symbols: tuple[str, ...]
    binaries: tuple[str, ...]
    system_roots: tuple[str, ...]
    cache_directory: str | None
    progress: bool


cache_directory_option = click.option(
    "--cache-directory",
    "--cache-dir",
    metavar="DIR",
    default=None,
    envvar="HEAPHOUND_CACHE",
    help="Where decompressed dumps are kept (default: ~/.cache/heaphound).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object with stable keys (docs/json.md).")


def dump_options(command: Command) -> Command:
    """CORE and the options of every command that opens one; the command gets them as one `DumpOptions`, its first argument."""

    def collected(
        core: str,
        as_json: bool,
        symbols: tuple[str, ...],
        binaries: tuple[str, ...],
        sysroot: tuple[str, ...],
        cache_directory: str | None,
        no_progress: bool,
        **others: Any,
    ) -> Any:
        return command(DumpOptions(core, as_json, symbols, binaries, sysroot, cache_directory, not no_progress), **others)

    decorated: Callable[..., Any] = update_wrapper(collected, command)
    for decorator in reversed(
        (
            click.argument("core", metavar="CORE"),
            json_option,
            click.option(
                "--symbols", metavar="DIR", type=click.Path(exists=True), multiple=True, help="Where portable PDBs lie (repeatable)."
            ),
            click.option(
                "--binaries",
                metavar="DIR",
                type=click.Path(exists=True),
                multiple=True,
                help="Where images lie that the core lacks (repeatable).",
            ),
            click.option(
                "--sysroot",
                metavar="DIR",
                type=click.Path(exists=True),
                multiple=True,
                help="The process's file system, such as a container's (repeatable).",
            ),
            cache_directory_option,
            click.option("--no-progress", is_flag=True, help="Say nothing on stderr while at work."),
        )
    ):
        decorated = decorator(decorated)
    return decorated  # type: ignore[return-value]  # a decorator keeps the kind of what it decorates


def limit_option(default: int | None, json_rows: str = "all") -> Callable[[Command], Command]:
    """``--limit N``; 0 is all. `default` None: what `rows` makes of it, which the help says in words."""
    words = f"{TEXT_ROWS} in text, {json_rows} in JSON" if default is None else str(default)
    return click.option(
        "--limit", type=click.IntRange(min=0), default=default, metavar="N", help=f"Rows to show, 0 for all (default: {words})."
    )


def rows(limit: int | None, options: DumpOptions, json_rows: int | None = None) -> int | None:
    """The limit as the library takes it: None for all. Without one, a screenful of text or `json_rows` of JSON."""
    if limit is None:
        return json_rows if options.json else TEXT_ROWS
    return limit or None


def sort_option(*keys: str) -> Callable[[Command], Command]:
    """``--sort KEY``; the first is the default."""
    return click.option(
        "--sort", type=click.Choice(keys), default=keys[0], show_default=True, help="Order of the rows: sizes and counts from the largest."
    )


minimum_option = click.option(
    "--min", "minimum", type=SIZE, default=None, metavar="SIZE", help="Only objects of at least this size (85000, 10k, 1MB)."
)
maximum_option = click.option("--max", "maximum", type=SIZE, default=None, metavar="SIZE", help="Only objects of at most this size.")
generation_option = click.option("--generation", type=GenerationType(GENERATIONS), default=None, help="Only objects of this generation.")
strings_option = click.option("--strings", is_flag=True, help="Show the contents of strings too: they can be secrets.")
