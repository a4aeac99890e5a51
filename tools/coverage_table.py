"""docs/layout-coverage.md: how many numbers each version has, how many the self-checks guard, and which not, with the reason."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tools.layout_numbers import Number
from tools.mutation import VersionRun
from tools.unguarded_numbers import HALF_WORD, REASONS

HEAD = """# What guards the numbers of the layout files

Written by `tools/mutate_layout.py --lab --table`. Each number of each layout file was moved by one step up and down, alone: an offset by a
word and by half of one, a size by a word, a flag by one bit, a count or a place in a table by one. On each dump named below the self-checks
were run on the changed file, without the dump's own descriptor. *Noticed* is a number of which each step takes away an ability by name, or
has the dump refused, on at least one dump of its version. *Asked for* is one by which a self-check reads the dump: what none asks for, none
can find wrong, but for checks that hold the file's numbers against each other. `tests/dumps/test_layout_numbers.py` moves a sample of them
and holds the lists complete.
"""
HALVES = {"+4", "-4"}
NOT_LISTED = "not listed"


def coverage_table(runs: Sequence[VersionRun]) -> str:
    """The page, of a run over all versions."""
    lines = [HEAD, "| version | numbers | asked for | noticed at each step | noticed at some steps | not noticed | no answer |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for run in runs:
        left, tried = run.unseen(), {number: sum(n == number for n, _ in run.outcomes) for number in run.numbers}
        never = sum(len(whats) == tried[number] for number, whats in left.items())
        counts = (len(run.numbers), len(run.asked), len(run.numbers) - len(left), len(left) - never, never, len(run.failures()))
        lines.append(f"| {run.version} | {' | '.join(map(str, counts))} |")
    lines += [
        "",
        "No answer: a check took too long on a changed number, or broke off with an error that is not a sentence.",
        "",
        "Dumps:",
        "",
    ]
    lines += [f"- {run.version}: {', '.join(run.cores)}" for run in runs]
    lines += ["", "## Not noticed, as no check asks for them on these dumps", "", *_listed(runs, asked=False)]
    lines += ["", "## Asked for, and not noticed at the steps named", "", *_listed(runs, asked=True)]
    lines += ["", "## Noticed on another dump than the first", "", *_elsewhere(runs)]
    failures = [f"- {run.version} {failure}" for run in runs for failure in run.failures()]
    lines += ["", "## No answer", "", *failures] if failures else []
    return "\n".join(lines) + "\n"


def _listed(runs: Sequence[VersionRun], asked: bool) -> list[str]:
    """A line for each number that is left: at which steps, on which versions, and why."""
    found: dict[Number, dict[str, list[str]]] = {}
    for run in runs:
        for number, whats in run.unseen().items():
            if (number in run.asked) == asked:
                found.setdefault(number, {})[run.version] = whats
    lines = []
    for number, versions in sorted(found.items()):
        steps = {what for whats in versions.values() for what in whats}
        lines.append(f"- `{number}` {', '.join(sorted(steps))} ({', '.join(versions)}): {_reason(number, steps)}")
    return lines or ["none"]


def _reason(number: Number, steps: set[str]) -> str:
    """Why the number is not guarded; NOT_LISTED where no pattern fits."""
    if steps <= HALVES:
        return HALF_WORD
    fitting = (why for why, patterns in REASONS.items() if any(fnmatchcase(str(number), pattern) for pattern in patterns))
    return next(fitting, NOT_LISTED)


def _elsewhere(runs: Sequence[VersionRun]) -> list[str]:
    """A line for each number of which some step is noticed only on a later dump of its version: on which."""
    found: dict[Number, dict[str, set[str]]] = {}
    for run in runs:
        for (number, _), place in run.noticed_on.items():
            if place:
                found.setdefault(number, {}).setdefault(run.version, set()).add(run.cores[place])
    lines = []
    for number, versions in sorted(found.items()):
        words = (f"{version} {' and '.join(sorted(cores))}" for version, cores in versions.items())
        lines.append(f"- `{number}` ({', '.join(words)})")
    return lines or ["none"]
