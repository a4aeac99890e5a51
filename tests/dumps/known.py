"""Differences from the oracle that are known, each with its reason; one that is no longer needed fails the test, as a new one does."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SWEEP = "swept-"  # begins the names of dumps that tools/make_compatibility.py makes, reads and throws away


@dataclass(frozen=True)
class Difference:
    """One thing on which the two disagree. `what` says which (an address, a type and field); either side is None where it has nothing."""

    what: str
    ours: Any
    oracle: Any


@dataclass(frozen=True)
class Known:
    """A difference that stays. `reason` says who is right and how that is known; `cases` are the cases in which it must occur.

    `swept`: a pattern in the names of the many dumps of tools/make_compatibility.py in which it may occur; all of them, if none is given.
    """

    reason: str
    explains: Callable[[Difference], bool] = field(compare=False)
    cases: frozenset[str]
    swept: str = ""


def differences(ours: dict[str, Any], oracle: dict[str, Any]) -> list[Difference]:
    """What differs between two tables keyed alike."""
    keys = sorted(ours.keys() | oracle.keys())
    return [Difference(key, ours.get(key), oracle.get(key)) for key in keys if ours.get(key) != oracle.get(key)]


def check(case: str, found: Iterable[Difference], known: Iterable[Known]) -> None:
    """Fail on each difference that no known one explains, and on each known one of this case that explains nothing."""
    sweep = case.startswith(SWEEP)
    expected = [entry for entry in known if (re.search(entry.swept, case) if sweep else case in entry.cases)]
    left = list(found)
    unexplained = [difference for difference in left if not any(entry.explains(difference) for entry in expected)]
    unused = [entry.reason for entry in expected if not sweep and not any(entry.explains(difference) for difference in left)]
    shown = "\n".join(f"  {one.what}: ours {one.ours!r}, oracle {one.oracle!r}" for one in unexplained[:20])
    assert not unexplained, f"{len(unexplained)} differences from the oracle in {case}:\n{shown}"
    assert not unused, f"known differences that no longer occur in {case}: {unused}"
