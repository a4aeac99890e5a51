"""The numbers of the layout files, each moved by one step: what no self-check notices is on docs/layout-coverage.md, with the reason.

A full run takes minutes a version (`tools/mutate_layout.py --lab --table`); here a sample of each version's numbers is moved, on Zoo alone.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.dumps import make_dump, zoo
from tests.lab.runtimes import VERSIONS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "layout-coverage.md"
SAMPLE_OF = 16
BY_CHANCE = 2
LINE = re.compile(r"- `(?P<number>[^`]+)` .*?\((?P<versions>\d[^)]*)\)")


def listed() -> set[tuple[str, str]]:
    """(version, number) of every line of the page: not asked for, not noticed, or noticed on another dump than Zoo's."""
    found = set()
    for line in PAGE.read_text("utf-8").splitlines():
        match = LINE.match(line)
        if match is not None:
            found |= {(part.split()[0], match["number"]) for part in match["versions"].split(", ")}
    return found


def test_each_number_on_the_page_has_a_reason() -> None:
    assert [line for line in PAGE.read_text("utf-8").splitlines() if "not listed" in line] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_number_that_moves_unnoticed_is_listed(version: str) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "mutate_layout.py"), "--json", "--sample", str(VERSIONS.index(version)), str(SAMPLE_OF)]
    # The tool forks for each change, which this process with its threads could not.
    done = subprocess.run([*tool, str(make_dump(zoo(version)).path)], check=True, capture_output=True, text=True, timeout=600)
    tried = json.loads(done.stdout)
    assert len({change["number"] for change in tried}) > 15
    assert sum(change["noticed_by"] is not None for change in tried) > 0.9 * len(tried)
    assert [change for change in tried if change["failed"]] == []
    unnoticed = {(change["version"], change["number"]) for change in tried if change["noticed_by"] is None}
    # Which registers hold references, and who waits where, differs from one dump of Zoo to the next.
    assert len(unnoticed - listed()) <= BY_CHANCE, unnoticed - listed()
