"""docs/layout-coverage.md: how many numbers each version has, how many the self-checks guard, and which not, with the reason."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tools.layout_numbers import Number
from tools.mutation import VersionRun
from tools.unguarded_numbers import REASONS

HEAD = """# What guards the numbers of the layout files

Written by `tools/mutate_layout.py --lab --table`. Each number of each layout file was moved by one step up and down, alone: an offset by
a word and by half of one, a size by a word, a flag by one bit, a count or a place in a table by one. On each dump named below the self-
checks were run on the changed file, without the dump's own descriptor. The files of 5.0, 7.0 and 11.0, which no build has confirmed, were
run on a dump of a neighbour: only the numbers that it does not settle were moved. *Noticed* is a number of which each step takes away an
ability by name, or has the dump refused, on at least one dump of its version. *Asked for* is one by which a self-check reads the dump:
what none asks for, none can find wrong, but for checks that hold the file's numbers against each other.
`tests/dumps/test_layout_numbers.py` moves a sample of them and holds the lists complete.
"""
CHOICES = """What is no number: each contract (which way something is done) was changed to each other that a file of the same machine has,
each kind of handles was left out, and exchanged with the next."""
NOT_LISTED = "not listed"


def coverage_table(runs: Sequence[VersionRun]) -> str:
    """The page, of a run over all versions."""
    lines = [HEAD, "| layout file | numbers | asked for | noticed at each step | noticed at some steps | not noticed | no answer |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    lines += [f"| {run.version} | {' | '.join(map(str, _counts(run, choices=False)))} |" for run in runs]
    lines += ["", CHOICES, "", "| layout file | contracts and kinds | asked for | noticed at each | at some | not noticed | no answer |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    lines += [f"| {run.version} | {' | '.join(map(str, _counts(run, choices=True)))} |" for run in runs]
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


def _counts(run: VersionRun, choices: bool) -> tuple[int, ...]:
    """Of the numbers, or of contracts and kinds of handles: all, asked for, noticed at each step, at some, at none, without an answer."""
    chosen = [number for number in run.numbers if (number.kind in ("contract", "handle kind")) == choices]
    tried = {number: [what for other, what in run.outcomes if other == number] for number in chosen}
    left = {number: whats for number, whats in run.unseen().items() if number in tried}
    never = sum(len(whats) == len(tried[number]) for number, whats in left.items())
    failed = sum(outcome.failed is not None for (number, _), outcome in run.outcomes.items() if number in tried)
    asked = sum(number in run.asked for number in chosen)
    return len(chosen), asked, len(chosen) - len(left), len(left) - never, never, failed


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
        lines.append(f"- `{number}` {', '.join(sorted(steps))} ({', '.join(versions)}): {_reason(number)}")
    return lines or ["none"]


def _reason(number: Number) -> str:
    """Why the number is not guarded; NOT_LISTED where no pattern fits."""
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
