"""The bounds of `tests.lab.bounded` hold: errors that are not the package's, calls without end and memory without end are told."""

import sys

from heaphound.errors import Malformed
from tests.lab.bounded import Bounded, bounded_memory


def test_the_packages_own_errors_may_come() -> None:
    with Bounded() as bounded:
        raise Malformed("as it should")
    assert bounded.problem is None
    assert sys.getprofile() is None


def test_no_other_may() -> None:
    with Bounded() as bounded:
        [][len([])]
    assert bounded.problem is not None
    assert bounded.problem.startswith("IndexError: list index out of range at test_bounded.py:")


def test_calls_without_end() -> None:
    with Bounded(bound=1000) as bounded:
        while True:
            len(())
    assert bounded.problem is not None
    assert bounded.problem.startswith("TooManyCalls: more than 1000 calls")


def test_memory_without_end() -> None:
    with bounded_memory(64 << 20), Bounded() as bounded:
        bytes(1 << 30)
    assert bounded.problem is not None
    assert bounded.problem.startswith("MemoryError")
