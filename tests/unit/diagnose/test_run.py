"""Running, merging and ranking of findings, without a dump."""

from dataclasses import replace
from typing import Any, cast

import pytest

from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.rules import RULES
from heaphound.diagnose.run import diagnose
from heaphound.diagnose.subject import Subject
from heaphound.errors import Unreadable
from heaphound.results.analyze import Finding, FindingRoot, Holder

NO_SUBJECT = cast(Subject, None)
BASE = Finding(
    rule="shape",
    title="a finding",
    severity="leak",
    confidence=0.5,
    retained_bytes=1000,
    object_count=10,
    fingerprint="a",
    type="T",
    method_table=None,
    holder=Holder("H"),
    root=FindingRoot("none"),
)


def rule(*findings: Finding) -> Rule:
    return Rule("shape", lambda _subject: iter(findings))


def finding(**changes: Any) -> Finding:
    return replace(BASE, **changes)


def test_leaks_come_first_then_bytes_weighted_with_confidence() -> None:
    note = finding(fingerprint="note", severity="note", retained_bytes=10**9)
    unsure = finding(fingerprint="unsure", retained_bytes=3000, confidence=0.2)
    sure = finding(fingerprint="sure", retained_bytes=1000, confidence=0.9)
    diagnosis = diagnose(NO_SUBJECT, (rule(note, unsure, sure),))
    assert [found.fingerprint for found in diagnosis.findings] == ["sure", "unsure", "note"]


def test_findings_of_one_fingerprint_are_one() -> None:
    small, large = finding(retained_bytes=1, title="small"), finding(retained_bytes=9, title="large")
    (one,) = diagnose(NO_SUBJECT, (rule(small, large),)).findings
    assert (one.title, one.retained_bytes, one.object_count) == ("large (1 more such)", 10, 20)
    assert "2 places" in one.evidence[-1]


@pytest.mark.parametrize(
    ("severities", "verdict"), [((), "no-leak"), (("note",), "no-leak"), (("waste", "note"), "unclear"), (("note", "leak"), "leak")]
)
def test_verdict(severities: tuple[str, ...], verdict: str) -> None:
    findings = [finding(severity=severity, fingerprint=severity) for severity in severities]
    assert diagnose(NO_SUBJECT, (rule(*findings),)).verdict == verdict


def test_a_rule_that_the_dump_cannot_serve_is_named_and_leaves_the_verdict_open() -> None:
    def fails(_subject: Subject) -> list[Finding]:
        raise Unreadable(0x1000, 8)

    diagnosis = diagnose(NO_SUBJECT, (Rule("broken", fails), rule()))
    assert diagnosis.verdict == "unclear"
    assert [(skipped.rule, skipped.reason) for skipped in diagnosis.skipped] == [("broken", "8 bytes at 0x1000 are not in the dump")]


def test_a_leak_stands_although_another_rule_could_not_run() -> None:
    def fails(_subject: Subject) -> list[Finding]:
        raise Unreadable(0x1000, 8)

    assert diagnose(NO_SUBJECT, (Rule("broken", fails), rule(finding()))).verdict == "leak"


def test_fingerprints_depend_on_every_name_and_its_place() -> None:
    assert fingerprint("r", ["a", "b"]) == fingerprint("r", ["a", "b"])
    assert len({fingerprint("r", ["a", "b"]), fingerprint("r", ["b", "a"]), fingerprint("r", ["ab"]), fingerprint("s", ["a", "b"])}) == 4


def test_ids_of_rules_are_their_own() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
