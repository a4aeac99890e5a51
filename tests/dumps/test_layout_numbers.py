"""The numbers of the layout files, each moved by one step (`tools/mutate_layout.py`): here a sample of each version's, on Zoo alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.dumps import make_dump, zoo
from tests.lab.runtimes import VERSIONS

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE_OF = 16


@pytest.mark.parametrize("version", VERSIONS)
def test_most_numbers_that_move_are_noticed_and_none_breaks_a_check(version: str) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "mutate_layout.py"), "--json", "--sample", str(VERSIONS.index(version)), str(SAMPLE_OF)]
    # The tool forks for each change, which this process with its threads could not.
    done = subprocess.run([*tool, str(make_dump(zoo(version)).path)], check=True, capture_output=True, text=True, timeout=600)
    tried = json.loads(done.stdout)
    assert len({change["number"] for change in tried}) > 15
    assert [change for change in tried if change["failed"]] == []
    numbers = {change["number"] for change in tried}
    unnoticed = {change["number"] for change in tried if change["noticed_by"] is None}
    assert len(unnoticed) <= len(numbers) // 2, unnoticed
