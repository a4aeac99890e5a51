"""What the pages promise is there: links, commands, options, and Python that runs."""

import re
import sys
from io import StringIO

import pytest

from heaphound.cli.main import COMMANDS
from tests.unit.conftest import REPOSITORY
from tests.unit.fake import FakeLibrary

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (REPOSITORY / page).read_text())
    assert [target for target in targets if not (REPOSITORY / target).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    named = re.findall(r"`((?:python|tests|docs|samples|src)/[\w./-]+)`", text)
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_command_is_in_the_table() -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert [command.name for command in COMMANDS if f"`{command.name}`" not in text] == []


def test_options_that_are_named_exist() -> None:
    known = {option for command in COMMANDS for parameter in command.params for option in parameter.opts} | {"--remove"}
    known |= {"--withheap"}  # createdump's
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", (REPOSITORY / "README.md").read_text()))
    assert named - known == set()


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    out = StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    exec(code.replace("import heaphound\n", ""), {"heaphound": FakeLibrary()})
    assert "System.EventHandler" in out.getvalue()
    assert "Subscribe once" in out.getvalue()
