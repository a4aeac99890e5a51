"""What the README shows of the sample is what heaphound prints; `pytest --update` writes it again."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
README = REPOSITORY / "README.md"
BLOCK = re.compile(r"(<!-- sample: begin -->\n```\n)(.*?)(```\n<!-- sample: end -->)", re.DOTALL)
WIDTH = 140
LABEL_WIDTH = 9


def folded(output: str) -> str:
    """The lines of a pipe folded as a window would: the text of a labelled line under its label."""
    lines = []
    for line in output.splitlines():
        indent = " " * LABEL_WIDTH if not line.startswith(".NET") else ""
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def test_the_sample_in_the_readme(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    arguments = ["analyze", "samples/redis-leak.core.zst", "--symbols", "samples/symbols", "--cache-directory", str(tmp_path)]
    done = subprocess.run([sys.executable, "-m", "heaphound", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = README.read_text()
    block = BLOCK.search(text)
    assert block is not None
    if request.config.getoption("--update"):
        README.write_text(text[: block.start(2)] + folded(done.stdout) + text[block.end(2) :])
    assert BLOCK.search(README.read_text())[2] == folded(done.stdout)  # type: ignore[index]  # it was found above
