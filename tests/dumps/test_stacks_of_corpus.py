"""Threads stopped anywhere, in a program with methods of every shape: the same frames and roots as the oracle.

`python -m tests.lab.corpus` compares more of them; what is left to chance here is printed, so that a failure can be made again.
"""

import random

import pytest

from tests.lab.corpus import BUILDS, Run, compare_run
from tests.lab.runtimes import VERSIONS
from tests.lab.stack_agreement import StackDifference


@pytest.mark.oracle
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("runtime", VERSIONS)
def test_stopped_anywhere(runtime: str, build: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    chance = random.Random()
    run = Run(runtime, build, "default", chance.randrange(1, 100_000), 8, filters=not runtime.startswith("10."))
    found = compare_run(run, tmp_path_factory.mktemp("corpus"), chance)
    print(f"{run}: {found}")
    for line in found.lines():
        print(line)
    assert [difference for difference in found.differences if not wavers(runtime, difference)] == []
    assert found.threads > 8
    assert found.agreed_frames == found.frames > 100


def wavers(runtime: str, difference: StackDifference) -> bool:
    """9.0: which frames count as left by an exception, the oracle tells differently each time it is asked (docs/stack-agreement.md)."""
    return runtime.startswith("9.") and difference.what == "root" and difference.dispatching
