"""One core read by a layout file as it stands, and by that file with a number changed: which self-checks pass, which ask for what.

The dump is read in children alone: what looks through it starts threads, and a process with threads must not fork.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property

from heaphound.dump.core import Core
from heaphound.errors import HeaphoundError
from heaphound.layouts.load import LayoutFile, layout_file
from heaphound.runtime.check_subject import CheckSubject
from heaphound.runtime.checks import Check
from heaphound.runtime.locate import FoundRuntime, find_coreclr
from heaphound.runtime.runtime import Runtime, bind_runtime
from heaphound.runtime.self_checks import CHECKS
from heaphound.runtime.settle import settle
from tools.in_child import Child, ChildEnded
from tools.layout_numbers import Number, asked_with, recording

ALONE = "layout"  # the ability whose checks compare numbers with each other and read nothing of the dump: they ask for all
BINDING = ("binding", "binding")  # what is read before there is a runtime to check
SETTLING_SECONDS = 600.0
SECONDS = 20.0  # for one change; the checks of an unchanged layout take one


@dataclass(frozen=True)
class Outcome:
    """What became of one change on one core. `check` is the ability and the check that noticed it, None where nothing did.

    `failed` is why there is no answer: a check took too long, or broke off with an error that is none of the product's.
    """

    check: tuple[str, str] | None = None
    sentence: str = ""
    failed: str | None = None


@dataclass(frozen=True)
class Record:
    """What the file as it stands does: by check the numbers that it asks for, and its sentence where it fails; `order` by speed.

    `refused` is the sentence where there is no runtime to check; `bound` what was asked for up to there.
    """

    source: LayoutFile
    bound: frozenset[Number]
    asked: tuple[frozenset[Number], ...]
    failing: dict[int, str]
    order: tuple[int, ...]
    refused: str | None


def settled_file(core: Core, version: str) -> LayoutFile:
    """The layout file of a version that no build has confirmed, as the dump of a neighbour settles it."""

    def settled() -> LayoutFile:
        found = replace(find_coreclr(core), descriptor=None)
        return settle(core, found, layout_file(version, core.machine, None))

    return Child[LayoutFile](SETTLING_SECONDS).run(settled)


class Trial:
    """One core and a layout file: that of its version, or another one."""

    def __init__(self, core: Core, source: LayoutFile | None = None, seconds: float = SECONDS) -> None:
        self.core = core
        self._seconds = seconds
        self._child = Child[Outcome](seconds)
        self.record = Child[Record](10 * seconds).run(lambda: self._record(source))
        self.source = self.record.source

    def _bind(self, source: LayoutFile) -> Runtime:
        return bind_runtime(self.core, self._found, source)

    @cached_property
    def _found(self) -> FoundRuntime:
        return replace(find_coreclr(self.core), descriptor=None)  # the dump's own descriptor would mend what is changed

    def _record(self, given: LayoutFile | None) -> Record:
        source = given or layout_file(self._found.version, self.core.machine, None)
        bound = set[Number]()
        try:
            self._bind(recording(source, bound))
        except HeaphoundError as error:
            return Record(source, frozenset(bound), (), {}, (), str(error))
        asked, seconds, failing = list[frozenset[Number]](), list[float](), dict[int, str]()
        for index, check in enumerate(CHECKS):
            own = set[Number]()
            subject = CheckSubject(self._bind(recording(source, own)))
            own.clear()
            started = time.perf_counter()
            try:
                check.run(subject)
            except HeaphoundError as error:
                failing[index] = str(error)
            seconds.append(time.perf_counter() - started)
            asked.append(frozenset(own))
        order = tuple(sorted(range(len(CHECKS)), key=seconds.__getitem__))
        return Record(source, frozenset(bound), tuple(asked), failing, order, None)

    def asking(self, number: Number) -> list[Check]:
        """The checks that ask the dump by the number; those that compare numbers with each other are not counted."""
        wanted = asked_with(number)
        return [check for check, asked in zip(CHECKS, self.record.asked, strict=False) if wanted in asked and check.ability != ALONE]

    def outcome(self, number: Number, changed: LayoutFile) -> Outcome:
        """What the changed file does: the first check that fails of those that pass as the file stands, none where all still pass.

        Only checks that can notice are run: those that ask for the number; all where the binding asks for it.
        """
        try:
            return self._child.run(lambda: self._try(number, changed))
        except ChildEnded as error:
            return Outcome(failed=str(error))

    def _try(self, number: Number, changed: LayoutFile) -> Outcome:
        try:
            subject = CheckSubject(self._bind(changed))
        except HeaphoundError as error:
            return Outcome(BINDING, str(error))
        for index in self.record.order:
            if index not in self.record.failing and self._can_notice(number, index):
                check = CHECKS[index]
                try:
                    check.run(subject)
                except HeaphoundError as error:
                    return Outcome((check.ability, check.name), str(error))
        return Outcome()

    def _can_notice(self, number: Number | None, index: int) -> bool:
        if number is None or number in self.record.bound or CHECKS[index].ability == ALONE:
            return True
        return asked_with(number) in self.record.asked[index]

    def mended(self, changed: LayoutFile, number: Number | None = None) -> frozenset[int]:
        """The checks that fail as the file stands and pass with the change; none at all if one that passed fails with it.

        `number` is the one that was changed, if it is one: then only checks that ask for it are run. Where the file as it stands is
        refused, all checks that pass once it no longer is.
        """
        try:
            return self._mender.run(lambda: self._mend(changed, number))
        except ChildEnded:
            return frozenset()

    @cached_property
    def _mender(self) -> Child[frozenset[int]]:
        return Child(self._seconds)

    def _mend(self, changed: LayoutFile, number: Number | None) -> frozenset[int]:
        try:
            subject = CheckSubject(self._bind(changed))
        except HeaphoundError:
            return frozenset()
        refused = self.record.refused is not None
        wanted = range(len(CHECKS)) if refused else [index for index in self.record.failing if self._can_notice(number, index)]
        found = frozenset(index for index in wanted if _passes(CHECKS[index], subject))
        others = [] if refused or not found else [index for index in self.record.order if index not in self.record.failing]
        return found if all(_passes(CHECKS[index], subject) for index in others if self._can_notice(number, index)) else frozenset()


def _passes(check: Check, subject: CheckSubject) -> bool:
    try:
        check.run(subject)
    except HeaphoundError:
        return False
    return True
