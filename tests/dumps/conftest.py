"""A dump opened once for all tests on it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

import heaphound
from heaphound.dump.backing import attach_binaries
from tests.lab.cases import Case, all_cases


@dataclass(frozen=True)
class Opened:
    """A case and heaphound's view of its dump."""

    case: Case
    dump: Any


@pytest.fixture(scope="session", params=all_cases())
def opened(request: pytest.FixtureRequest) -> Opened:
    case: Case = request.param
    return Opened(case, heaphound.open(str(case.core())))


@pytest.fixture
def without_original_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on another machine than the dump's: nothing lies at the paths that the process had mapped."""
    monkeypatch.setattr("heaphound.session.attach_binaries", partial(attach_binaries, use_original_paths=False))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test on a dump may have to fetch a runtime and to run a program first."""
    for item in items:
        if "dumps" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))
