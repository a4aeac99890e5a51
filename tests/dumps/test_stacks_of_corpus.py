"""Threads stopped anywhere, in a program with methods of every shape: the same frames and roots as the oracle.

`python -m tests.lab.corpus` compares more of them; what is left to chance here is printed, and a core on which the two differ is kept, so
that a failure can be looked into.
"""

import random
from pathlib import Path

import pytest

from tests.lab.cache import cache_directory
from tests.lab.corpus import BUILDS, SETTINGS, Run, compare_run
from tests.lab.runtimes import VERSIONS
from tests.lab.stack_agreement import Agreement


@pytest.mark.oracle
@pytest.mark.parametrize("runtime", VERSIONS)
def test_stopped_anywhere(runtime: str) -> None:
    chance = random.Random()
    found = Agreement()
    for _ in range(4):  # the oracle cannot answer about every core: a collection moved objects just then, an exception had no type yet
        run = Run(
            runtime,
            chance.choice(BUILDS),
            chance.choice(list(SETTINGS)),
            chance.randrange(1, 100_000),
            8,
            filters=not runtime.startswith("10."),
        )
        found = compare_run(run, kept(), chance, keep=True)
        print(f"{run}: {found}")
        for line in found.lines():
            print(line)
        if found.roots:
            break
    assert found.differences == [], f"the core is kept in {kept()}"
    assert found.threads > 8
    assert found.agreed_frames == found.frames > 100


def kept() -> Path:
    """Where cores are made, and stay if the two differ."""
    directory = cache_directory() / "corpus"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
