"""Fixtures of the tests that need no dump."""

from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a file of the repository; with `--update` writes the file instead."""

    def check(name: str, text: str) -> None:
        file = REPOSITORY / name
        if request.config.getoption("--update"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"{name} is missing: `./dev golden` writes it, then read it"
        assert text == file.read_text(encoding="utf-8")

    return check
