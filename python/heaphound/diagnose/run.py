"""Runs the rules, merges what is the same leak, and ranks the findings. Rules never rank or hide."""

from dataclasses import dataclass, replace

from heaphound.diagnose.finding import Rule, rank
from heaphound.diagnose.rules import deadlock
from heaphound.diagnose.subject import Subject
from heaphound.errors import HeaphoundError
from heaphound.progress import Progress, silent
from heaphound.results.analyze import Finding, Verdict
from heaphound.results.answer import SkippedRule


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict over all findings, the findings ranked, and the rules that could not run."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    skipped: tuple[SkippedRule, ...]


def diagnose(subject: Subject, rules: tuple[Rule, ...], progress: Progress = silent) -> Diagnosis:
    """Run every rule. A rule that the dump cannot serve is skipped and named; then no finding means "unclear", not "no leak"."""
    findings: list[Finding] = []
    skipped: list[SkippedRule] = []
    for position, rule in enumerate(rules):
        progress("looking for leaks", position, len(rules))
        try:
            findings.extend(rule.find(subject))
        except HeaphoundError as error:
            skipped.append(SkippedRule(rule.id, str(error)))
    progress("looking for leaks", len(rules), len(rules))
    merged = sorted(_merged(findings), key=rank)
    return Diagnosis(_verdict(merged, skipped), tuple(merged), tuple(skipped))


def _verdict(findings: list[Finding], skipped: list[SkippedRule]) -> Verdict:
    """The verdict is on memory: threads that wait for each other are a finding, and leave it as it is."""
    if any(finding.severity == "leak" for finding in findings):
        return "leak"
    wasted = any(finding.severity == "waste" and finding.rule != deadlock.ID for finding in findings)
    return "unclear" if skipped or wasted else "no-leak"


def _merged(findings: list[Finding]) -> list[Finding]:
    """Findings of one fingerprint as one: the largest speaks, counts and bytes are summed, the number is in its evidence."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.fingerprint, []).append(finding)
    return [_one(sorted(group, key=lambda finding: -finding.retained_bytes)) for group in groups.values()]


def _one(group: list[Finding]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    return replace(
        first,
        title=f"{first.title} ({len(group) - 1} more such)",
        retained_bytes=sum(finding.retained_bytes for finding in group),
        object_count=sum(finding.object_count for finding in group),
        evidence=(*first.evidence, f"{len(group)} places of this shape are counted together; the largest is shown"),
    )
