"""GcInfo, unwind data, debug information, maps of references and nibble maps of real methods, broken: an answer or an error of the package.

`python -m tests.lab.blob_runs` does it at length.
"""

from collections.abc import Sequence

import pytest

from tests.lab.blob_runs import Outcomes, as_they_are, broken_ones, cut_short, run
from tests.lab.blobs import Blob, chosen, core_blobs
from tests.lab.dumps import make_dump, zoo
from tests.lab.framework_blobs import framework_blobs

METHODS, CUT, RUNS, FIRST = 40, 10, 400, 0
OF_CORES = {"GcInfo", "unwind data", "debug information", "nibble map"}
OF_IMAGES = {"GcInfo", "unwind data", "debug information", "GCRefMap"}


def check(blobs: Sequence[Blob], kinds: set[str]) -> None:
    """Whole ones are all read, most of the broken ones still tell something, and nothing else comes than answers and our own errors."""
    whole = run(as_they_are(blobs))
    assert set(whole) == kinds
    for kind, outcome in whole.items():
        assert outcome.problems == [], kind
        assert outcome.answered == outcome.runs, kind
    for outcomes in (run(cut_short(chosen(blobs, CUT))), run(broken_ones(blobs, FIRST, RUNS))):
        assert problems(outcomes) == []
        assert all(outcome.answered > outcome.runs // 4 for outcome in outcomes.values()), str(outcomes)


def problems(outcomes: Outcomes) -> list[str]:
    return [problem for outcome in outcomes.values() for problem in outcome.problems]


@pytest.mark.parametrize("runtime", ["3.1.2", "6.0.6", "8.0.4", "9.0.11", "10.0.11", "3.1.2-arm64", "8.0.31-arm64", "10.0.11-arm64"])
def test_of_a_framework(runtime: str) -> None:
    check(framework_blobs(runtime, METHODS), OF_IMAGES)


@pytest.mark.parametrize("runtime", ["10.0.11", pytest.param("8.0.31-arm64", marks=pytest.mark.arm64)])
def test_of_a_core(runtime: str) -> None:
    check(core_blobs(make_dump(zoo(runtime)).path, METHODS), OF_CORES)
