"""What the self-checks say to each number of a layout file moved by one step, on all cores of a version together."""

from dataclasses import dataclass, field, replace

from tools.layout_numbers import Number, changes, choices, numbers
from tools.layout_trial import Outcome, Trial


@dataclass
class VersionRun:
    """What became of each change of each number of one version's file.

    `noticed_on` is the place in `cores` of the one on which a change was noticed; `asked` are the numbers that a check or the binding asks
    for on some core.
    """

    version: str
    numbers: list[Number]
    cores: list[str] = field(default_factory=list)
    asked: set[Number] = field(default_factory=set)
    outcomes: dict[tuple[Number, str], Outcome] = field(default_factory=dict)
    noticed_on: dict[tuple[Number, str], int] = field(default_factory=dict)

    def unseen(self) -> dict[Number, list[str]]:
        """Changes that nothing noticed on any core, by number."""
        left: dict[Number, list[str]] = {}
        for (number, what), outcome in self.outcomes.items():
            if outcome.check is None:
                left.setdefault(number, []).append(what)
        return left

    def failures(self) -> list[str]:
        """Changes on which a check took too long or broke off."""
        return [f"{number} {what}: {outcome.failed}" for (number, what), outcome in self.outcomes.items() if outcome.failed]

    def add(self, name: str, trial: Trial) -> None:
        """Try on one more core what no core has noticed yet, where some check asks for it there."""
        self.cores.append(name)
        known = [*numbers(trial.source), *choices(trial.source)]
        self.asked |= {number for number in known if number in trial.record.bound or trial.asking(number)}
        for number in self.numbers:
            for what, changed in changes(trial.source, number):
                before = self.outcomes.get((number, what))
                asked = bool(trial.asking(number)) or number in trial.record.bound
                if before is not None and (before.check is not None or not asked):
                    continue
                found = trial.outcome(number, changed)
                if found.check is not None:
                    self.noticed_on[number, what] = len(self.cores) - 1
                self.outcomes[number, what] = replace(found, failed=found.failed or (before.failed if before else None))
