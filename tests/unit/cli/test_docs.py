"""The page of commands is what --help says, and the Python in every help runs."""

from collections.abc import Callable
from io import StringIO
from unittest.mock import patch

import click
import pytest

from heaphound.cli.main import COMMANDS, group
from tests.unit.cli.json_page import RESULTS, json_page
from tests.unit.fake import FakeLibrary

NAMES = [command.name for command in COMMANDS]


def help_text(command: click.Command, name: str) -> str:
    """The help as a window of 100 columns shows it."""
    context = click.Context(command, info_name=name, terminal_width=100, help_option_names=["-h", "--help"])
    return command.get_help(context)


def test_the_page_of_commands(golden: Callable[[str, str], None]) -> None:
    sections = [
        "# Commands\n\nGenerated from `--help` by `./dev docs`; a test compares. The keys of `--json` are in [json.md](json.md).\n",
        f"```\n{help_text(group, 'heaphound')}\n```\n",
        *(f"## {command.name}\n\n```\n{help_text(command, f'heaphound {command.name}')}\n```\n" for command in COMMANDS),
    ]
    golden("docs/commands.md", "\n".join(sections))


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_the_python_in_the_help_runs(command: click.Command) -> None:
    code = (command.help or "").split("In Python:\n")[1]
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    assert len(lines) == 2
    with patch("sys.stdout", StringIO()) as out:
        exec("\n".join(line for line in lines if line != "import heaphound"), {"heaphound": FakeLibrary()})
    assert out.getvalue() not in ("", "None\n")


def test_the_page_of_json(golden: Callable[[str, str], None]) -> None:
    assert list(RESULTS) == NAMES
    golden("docs/json.md", json_page())
