"""A layout's numbers held against what a DAC showed: which it confirms, which it gives otherwise, which ones it leaves open."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from tools.dac.feeds import TAG_BITS, WORD_BYTES, Feeds, Reads
from tools.dac.path import GLOBAL, Term, Way
from tools.dac.resolve import Chain, Question, chains, starts, taken_from
from tools.dac.shapes import Call
from tools.dac.ways import WAYS

Numbers = Mapping[str, int]


@dataclass(frozen=True)
class Observed:
    """One question and what its answer rests on."""

    question: Question
    feeds: Feeds


@dataclass(frozen=True)
class Verdict:
    """What one output says of the numbers on the way to it: it confirms them all, or gives `others` as what the DAC goes by.

    Neither where it fits with several changes and nothing says which. `alone`: nothing but this fits.
    """

    call: Call
    way: Way
    confirmed: bool
    others: Mapping[str, int] = field(default_factory=dict)
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.call}.{self.way.output}"


@dataclass(frozen=True)
class Evidence:
    """All that was observed of one core. `table` has the index in g_dacTable by a variable's address, `added` what a layout adds to it."""

    observed: tuple[Observed, ...]
    table: Mapping[int, int]
    added: Mapping[str, int] = field(default_factory=dict)

    def verdicts(self, numbers: Numbers, settled: Set[str] = frozenset()) -> Iterator[Verdict]:
        """For each output of each call to which `numbers` have a way and of which an answer tells; `settled` are known to be right."""
        for call, ways in WAYS.items():
            answers = [one for one in self.observed if one.question.call is call]
            for output in dict.fromkeys((way.relation, way.output) for way in ways):
                known = [way for way in ways if (way.relation, way.output) == output and way.numbers <= numbers.keys()]
                if output[0] == "say":
                    yield from (Verdict(call, way, True) for way in known if any(self._has_say(way, one, numbers) for one in answers))
                else:
                    yield from self._of_word(call, known, answers, numbers, settled)

    def words_expected(self, question: Question, reads: Reads, memory: Callable[[int], int], numbers: Numbers) -> set[int]:
        """The words that the ways to the outputs of a question go by, if the numbers are right."""
        found: set[int] = set()
        for way in WAYS[question.call]:
            for index, start in starts(reads, way, question, self.table) if way.numbers <= numbers.keys() else ():
                if not way.start.startswith(GLOBAL) or index == numbers[way.start]:
                    found |= {word & -WORD_BYTES for word in self._words(way, start, question, memory, numbers)}
        return found

    def settles(self, call: Call, numbers: Numbers) -> bool:
        """Whether every output of the call to which the numbers have a way, and of which the answer could tell, confirms them."""
        wanted = {(way.relation, way.output) for way in WAYS[call] if way.numbers <= numbers.keys() and way.relation != "say"}
        confirmed = {(one.way.relation, one.way.output) for one in self.verdicts(numbers) if one.call is call and one.confirmed}
        return wanted <= confirmed

    def _words(self, way: Way, start: int, question: Question, memory: Callable[[int], int], numbers: Numbers) -> Iterator[int]:
        """Address of the word at the end of each step, from the start of a way on."""
        address = start + (self.added.get(way.start.removeprefix(GLOBAL), 0) if way.start.startswith(GLOBAL) else 0)
        for place, step in enumerate(way.steps):
            pointer = memory(address) & ~TAG_BITS if place else address
            address = pointer + _sum(step, numbers, question.given)
            yield address

    def _of_word(self, call: Call, ways: list[Way], answers: list[Observed], numbers: Numbers, settled: Set[str]) -> Iterator[Verdict]:
        exact = [way for way in ways if not any(_says_more(other, way) for other in ways)]
        found = [(way, common) for way in exact if (common := self.chains(way, answers, numbers))]
        fitting = [(way, common) for way, common in found if _expected(way, numbers) in common]
        if fitting:
            yield from (Verdict(call, way, True, alone=len(common) == 1) for way, common in fitting)
        else:
            yield from (Verdict(call, way, False, _others(way, common, numbers, settled)) for way, common in found)

    def chains(self, way: Way, answers: list[Observed], numbers: Numbers) -> set[Chain]:
        """The chains that fit every answer to which such a way leads, without what the questions give."""
        common: set[Chain] | None = None
        for one in answers:
            given = [
                _sum(tuple(term for term in step if term.factor in one.question.given), numbers, one.question.given) for step in way.steps
            ]
            if way.start.startswith(GLOBAL):
                given[0] = self.added.get(way.start.removeprefix(GLOBAL), 0) + _sum(way.steps[0], numbers, {})
            found = chains(one.feeds, way, one.question, self.table, given)
            if found:
                common = set(found) if common is None else common & found
        return common or set()

    def new(self, call: Call, way: Way, numbers: Numbers, unknown: Set[str], settled: Set[str]) -> Mapping[str, int]:
        """The unknown numbers on the way and those that are not settled, where there is one chain only that fits all the settled ones."""
        answers = [one for one in self.observed if one.question.call is call]
        placed = {**numbers, **dict.fromkeys(unknown, 0)}
        common = self.chains(way, answers, placed)
        expected = _expected(way, placed)
        new = [next((term.number for term in step if term.number in unknown), None) for step in way.steps]
        names = [name or _changeable(way, index, settled) for index, name in enumerate(new)]
        fitting = {chain for chain in common if all(names[i] or chain[i] == expected[i] for i in range(len(expected)))}
        chain = next(iter(fitting)) if len(fitting) == 1 else ()
        return {name: chain[index] - expected[index] for index, name in enumerate(names) if name and chain}

    def _has_say(self, way: Way, one: Observed, numbers: Numbers) -> bool:
        """Whether the field where the way ends, by the layout's numbers, changes the output."""
        places = taken_from(one.feeds, way)
        for index, start in starts(one.feeds.reads, way, one.question, self.table):
            if way.start.startswith(GLOBAL) and index != numbers[way.start]:
                continue
            *_, address = self._words(way, start, one.question, lambda word: one.feeds.memory.get(word, 0), numbers)
            if any(place in places for place in range(address, address + (address & -address & 7 or 8))):
                return True
        return False


def _says_more(way: Way, than: Way) -> bool:
    """Whether the way is the other one with a further number in one of its sums, which a layout that has that number means."""
    return len(way.steps) == len(than.steps) and way.numbers > than.numbers


def _sum(step: tuple[Term, ...], numbers: Numbers, given: Mapping[str, int]) -> int:
    return sum(term.times(given) * (numbers[term.number] if term.number else 1) for term in step)


def _expected(way: Way, numbers: Numbers) -> Chain:
    """The chain that the layout has: the sum of each step without what a question gives, of a variable its place in g_dacTable."""
    sums = [_sum(tuple(term for term in step if term.factor.isdecimal()), numbers, {}) for step in way.steps]
    return (numbers[way.start], *sums[1:]) if way.start.startswith(GLOBAL) else tuple(sums)


def _others(way: Way, common: set[Chain], numbers: Numbers, settled: Set[str]) -> Mapping[str, int]:
    """The numbers that have to change for a chain to fit, where one chain alone can be meant: the nearest that changes nothing settled.

    A sum of several numbers is changed by its first one that is not settled.
    """
    expected = _expected(way, numbers)
    names = [_changeable(way, index, settled) for index in range(len(expected))]
    solutions: dict[Chain, int] = {}
    for chain in common:
        different = [index for index in range(len(expected)) if chain[index] != expected[index]]
        if all(names[index] for index in different):
            solutions[chain] = len(different)
    least = [chain for chain, changes in solutions.items() if changes == min(solutions.values())]
    if len(least) != 1:
        return {}
    return {
        str(names[index]): numbers[str(names[index])] + least[0][index] - expected[index]
        for index in range(len(expected))
        if least[0][index] != expected[index]
    }


def _changeable(way: Way, index: int, settled: Set[str]) -> str | None:
    if index == 0 and way.start.startswith(GLOBAL):
        return None if way.start in settled else way.start
    return next((term.number for term in way.steps[index] if term.number and term.factor == "1" and term.number not in settled), None)
