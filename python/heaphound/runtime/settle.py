"""Settle the numbers that a layout file leaves open by the dump itself: where a self-check does not agree, others are tried.

A file that was written from the runtime's sources and never run names, beside each number that no build has confirmed, what it is in the
versions before and after, and how far from there it may be. What makes the check pass and spoils none that passed before is taken, and
is shown as found by search. Where nothing fits, the file stays as it is and the ability is lost by name, as with any other file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile
from time import process_time

from heaphound.dump.core import Core
from heaphound.errors import HeaphoundError
from heaphound.layouts.load import LayoutFile
from heaphound.layouts.number_rules import with_broken_numbers
from heaphound.layouts.numbers import number_of, recording, with_numbers
from heaphound.layouts.open_numbers import OpenNumbers, Value
from heaphound.runtime.check_subject import CheckSubject
from heaphound.runtime.checks import Check
from heaphound.runtime.locate import FoundRuntime
from heaphound.runtime.number_checks import check_numbers
from heaphound.runtime.runtime import Runtime, bind_runtime
from heaphound.runtime.self_checks import CHECKS

MOST_CHANGES = 8  # groups of numbers that one check finds wrong at once
MOST_BRANCHES = 24  # partly repaired files that are followed
MOST_TRIALS = 8000  # for one check, a millisecond each but for stacks
MOST_SECONDS = 20.0  # of processor time for one check: walking stacks takes its time
TOLERATED = {"Thread.ExceptionTracker"}  # read with every thread, and a wrong one is noted there, not refused
BINDING, METADATA = "binding", "type names: metadata"
# What later checks rest on is settled first: modules before names, names before what is called by name.
FIRST = (
    *("objects", "segments", "walk of the smallest segments", "EEClass", "TypeDef"),
    *("assembly of the core library", "list of assemblies", "file of the core library", "image of the core library", "modules", "metadata"),
    *("FieldDesc", "HandleTable", "ThreadStore"),
)


@dataclass(frozen=True)
class _Outcome:
    """What came of one check with one file: whether it passed, and what it asked for until then, in the order of asking."""

    passed: bool
    asked: dict[str, None]

    @property
    def progress(self) -> int:
        """A check that gets further asks for more."""
        return len(self.asked)


@dataclass(frozen=True)
class _Branch:
    """A file with some groups changed, how many of them to numbers that no version nearby has, and how far the check gets with it."""

    source: LayoutFile
    outcome: _Outcome
    changed: tuple[OpenNumbers, ...] = ()
    moved: int = 0


@dataclass
class _Passed:
    """The checks that agree so far, each with what it asks for."""

    asked: dict[str, dict[str, None]] = field(default_factory=dict)
    checks: dict[str, Check | None] = field(default_factory=dict)

    def add(self, check: Check | None, outcome: _Outcome) -> None:
        self.asked[_name(check)] = outcome.asked
        self.checks[_name(check)] = check

    @property
    def looked_at(self) -> set[str]:
        """What the checks that agree ask for."""
        return {name for asked in self.asked.values() for name in asked} - TOLERATED

    @property
    def vouched_for(self) -> set[str]:
        """What they say they vouch for: what a check merely asks for can be wrong all the same."""
        return {f"{type_name}.{name}" for check in self.checks.values() if check is not None for type_name, name in check.rests_on}

    def resting_on(self, names: set[str]) -> Iterator[Check | None]:
        """Those that ask for any of these numbers."""
        return (check for name, check in self.checks.items() if names & self.asked[name].keys())


def settle(core: Core, found: FoundRuntime, source: LayoutFile) -> LayoutFile:
    """The file with the open numbers that this dump's self-checks ask for; the same file where nothing is open or all checks agree."""
    if not source.open or core.writer.mode == "mini" or core.truncation is not None:
        return source  # in a file that was meant to lack most of the process, or was cut, what fails says nothing of the numbers
    passed = _Passed()
    for check in (None, *sorted(CHECKS, key=_rank)):
        if check is not None and _rank(check) == len(FIRST) and METADATA not in passed.checks:
            break  # without names nothing can be told by name
        outcome = _try(core, found, source, check)
        if not outcome.passed:
            repaired = _repair(core, found, _Branch(source, outcome), check, passed)
            if repaired is None:
                if check is None:
                    return source  # nothing can be read: the caller binds it again and says why
                continue
            source, outcome = repaired
        passed.add(check, outcome)
    return source


def _rank(check: Check) -> int:
    return FIRST.index(check.name) if check.name in FIRST else len(FIRST)


def _name(check: Check | None) -> str:
    return BINDING if check is None else f"{check.ability}: {check.name}"


def _try(core: Core, found: FoundRuntime, source: LayoutFile, check: Check | None, like: Runtime | None = None) -> _Outcome:
    """Run one check, or none but the binding, with one file; `like` spares the binding where the change has no part in it."""
    asked: dict[str, None] = {}
    recorded = recording(source, asked)
    try:
        if like is None:
            runtime = bind_runtime(core, found, recorded)
        else:
            globals_, origins = like.layout.globals, like.layout.global_origins
            layout = replace(recorded.layout, globals=globals_, global_origins=origins)
            alone = check is not None and check.run is check_numbers  # others pass or not by what they read; then all rules are asked
            runtime = replace(like, layout=with_broken_numbers(layout) if alone else layout)
    except HeaphoundError:
        return _Outcome(False, asked if check is None else {})
    if check is None:
        return _Outcome(True, asked)
    asked.clear()  # what binding asks for is known to be right by then
    try:
        check.run(CheckSubject(runtime))
    except (HeaphoundError, OverflowError):  # a sum of wrong numbers need not fit into the 64 bits that the kernel takes
        return _Outcome(False, asked)
    return _Outcome(True, asked)


def _bound(core: Core, found: FoundRuntime, source: LayoutFile, check: Check | None) -> tuple[Runtime | None, dict[str, None]]:
    """The runtime as this file binds it, and what that asks for; no runtime where the binding itself is in question."""
    asked: dict[str, None] = {}
    if check is None:
        return None, asked
    return bind_runtime(core, found, recording(source, asked)), asked


def _binds(group: OpenNumbers, asked: dict[str, None]) -> bool:
    """Whether these numbers have a part in the binding."""
    return any(name in asked or name.startswith(("global ", "dac_table ", "constant VTableIndex.")) for name in group.names)


def _repair(core: Core, found: FoundRuntime, start: _Branch, check: Check | None, passed: _Passed) -> tuple[LayoutFile, _Outcome] | None:
    """The first file that the check agrees with, changed as little as possible; None where there is none, or too many would be tried.

    First with numbers of versions nearby alone: a wrong number can by chance take a check further than the right one. Then fields are moved
    up to the next that an earlier check has looked at, at last up to the next that one has vouched for.
    """
    stop = process_time() + MOST_SECONDS
    for fixed in (None, passed.looked_at, passed.vouched_for):
        branches, trials = [start], 0
        for _ in range(MOST_CHANGES):
            further: list[_Branch] = []
            for branch in branches:
                like, bound = _bound(core, found, branch.source, check)
                for group, values, moved in _changes(branch, fixed):
                    trials += 1
                    if trials > MOST_TRIALS or process_time() > stop:
                        return None
                    source = with_numbers(branch.source, group.names, values)
                    outcome = _try(core, found, source, check, None if _binds(group, bound) else like)
                    next_branch = _Branch(source, outcome, (*branch.changed, group), branch.moved + moved)
                    if outcome.passed and _breaks_no_rule(start.source, source) and _spoils_nothing(core, found, next_branch, passed):
                        return source, next_branch.outcome
                    other_way = any(name.startswith("contract ") for name in group.names)  # what it asks for cannot be compared
                    if not next_branch.outcome.passed and (other_way or next_branch.outcome.progress > branch.outcome.progress):
                        further.append(next_branch)
            branches = sorted(further, key=lambda branch: (branch.moved, -branch.outcome.progress))[:MOST_BRANCHES]
    return None


def _changes(branch: _Branch, fixed: set[str] | None) -> Iterator[tuple[OpenNumbers, tuple[Value, ...], bool]]:
    """Changes of what the check asked for, the last asked first: it is where it stopped; of those the smallest first.

    With `fixed` also to numbers of no known version: a field and those behind it are moved, up to the first that is fixed.
    """
    order = {name: place for place, name in enumerate(branch.outcome.asked)}
    for group in _sorted([group for group in branch.source.open if group.values and group not in branch.changed], order):
        yield from ((group, values, False) for values in group.values)
    if fixed is None:
        return
    behind = [group for group in branch.source.open if group.around]
    windows = [replace(group, names=tuple(takewhile(lambda name: name not in fixed, group.names))) for group in behind]
    for group in _sorted([group for group in dict.fromkeys(windows) if group.names and group not in branch.changed], order):
        own = [number_of(branch.source, name) for name in group.names]
        yield from ((group, values, True) for values in group.moved(own))


def _sorted(groups: list[OpenNumbers], order: dict[str, int]) -> list[OpenNumbers]:
    """Those with a number that was asked for, by the last of them."""
    asked = [group for group in groups if any(name in order for name in group.names)]
    return sorted(asked, key=lambda group: (-max(order.get(name, -1) for name in group.names), len(group.names)))


def _breaks_no_rule(before: LayoutFile, source: LayoutFile) -> bool:
    """Whether no number contradicts another that did not before."""
    return with_broken_numbers(source.layout).broken.keys() <= with_broken_numbers(before.layout).broken.keys()


def _spoils_nothing(core: Core, found: FoundRuntime, branch: _Branch, passed: _Passed) -> bool:
    names = {name for group in branch.changed for name in group.names}
    return all(_try(core, found, branch.source, check).passed for check in passed.resting_on(names))
