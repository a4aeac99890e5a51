"""Cores of real processes with structures of threads, stacks and locks that cannot be: an honest answer or one sentence, soon."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.dumps import Recipe, make_dump

COMMANDS = ("stack --all -a --native --json", "threads", "roots --json")
SEEDS = 4


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (Recipe("Stacks", "8.0.4", ("blocked",)), ("--told",)),
        (Recipe("Stacks", "10.0.11", ("blocked",)), ("--told",)),
        (Recipe("Zoo", "8.0.31-arm64"), ()),
    ],
)
def test_lies(recipe: Recipe, options: tuple[str, ...], tmp_path: Path) -> None:
    core = make_dump(recipe).path
    asked = [word for command in COMMANDS for word in ("--command", command)]
    runs = [sys.executable, "-m", "tests.lab.lie_runs", str(core), "--seeds", str(SEEDS), "--directory", str(tmp_path), *options, *asked]
    done = subprocess.run(runs, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"exit codes: \{.*\b0: \d\d", done.stdout), done.stdout  # most lies leave an answer
