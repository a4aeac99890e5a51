"""What a rule is, and how findings are ranked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding

SEVERITIES = ("leak", "waste", "note")


@dataclass(frozen=True, slots=True)
class Rule:
    """One shape of leak. `id` is stable: it is in the JSON and in fingerprints. `find` yields findings in any order.

    `find` raises HeaphoundError when the dump lacks what the rule needs: the rule is then reported as skipped, with the reason.
    """

    id: str
    find: Callable[[Subject], Iterable[Finding]]


def rank(finding: Finding) -> tuple[int, float, str]:
    """Sort key: leaks before waste before notes, then retained bytes weighted with confidence, then the fingerprint."""
    return SEVERITIES.index(finding.severity), -finding.retained_bytes * finding.confidence, finding.fingerprint
