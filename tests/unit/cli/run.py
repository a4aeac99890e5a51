"""Runs one command in this process and catches what it prints."""

import sys
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from heaphound.cli.main import main
from tests.unit.fake import FakeLibrary


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: exit code, output, and the library it asked."""

    code: int
    out: str
    err: str
    library: FakeLibrary


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: str, replies: dict[str, Any] | None = None, terminal: bool = False) -> Ran:
    """Run `heaphound ARGUMENTS` against a fake library."""
    library = FakeLibrary(replies)
    out, err = Terminal() if terminal else StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        if terminal:
            patch.setenv("TERM", "xterm-256color")
            patch.setenv("COLUMNS", "100")
        code = main(arguments, library)
    return Ran(code, out.getvalue(), err.getvalue(), library)
