"""The numbers of a build out of what its DAC showed, beginning with those of another version."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from tools.dac.evidence import Evidence, Verdict
from tools.dac.path import GLOBAL, Way
from tools.dac.ways import WAYS

MOST_ROUNDS = 12
# Also there in later versions, but read in 3.x only: since 5.0 the GC says where the fields of a generation lie.
NOT_NEW = {"GcDacVars.MaxGeneration", "Generation.StartSegment", "Generation.AllocationStart"}


@dataclass(frozen=True)
class Derived:
    """`numbers` with the changes made; `confirmed` and `changed` name the outputs that speak for a number, `say` those that rest on it.

    `changed` also has the numbers that are new: those of a way that the other version did not have.
    """

    numbers: Mapping[str, int]
    confirmed: Mapping[str, list[str]]
    changed: Mapping[str, list[str]]
    say: Mapping[str, list[str]]
    open: Mapping[str, list[str]] = field(default_factory=dict)


def hold(evidence: Evidence, numbers: Mapping[str, int]) -> Derived:
    """Nothing changed: `changed` and the values in `numbers` are what the DAC goes by instead."""
    return _sorted(dict(numbers), list(evidence.verdicts(numbers)))


def derive(evidence: Evidence, older: Mapping[str, int]) -> Derived:
    """The older numbers, changed until every output that tells fits, as far as it can be told which number has to change."""
    numbers, changed = dict(older), dict[str, list[str]]()
    for _ in range(MOST_ROUNDS):
        settled = _settled(evidence, numbers) | changed.keys()
        verdicts = list(evidence.verdicts(numbers, settled))
        wanted: dict[str, Counter[int]] = {}
        speaking: dict[tuple[str, int], list[str]] = {}
        for verdict in verdicts:
            for name, value in verdict.others.items():
                wanted.setdefault(name, Counter())[value] += 1
                speaking.setdefault((name, value), []).append(str(verdict))
        fresh = {name: values.most_common(1)[0][0] for name, values in wanted.items()} or _of_new_ways(
            evidence, numbers, settled, verdicts, speaking
        )
        if not fresh:
            break
        for name, value in fresh.items():
            numbers[name] = value
            changed[name] = speaking.get((name, value), [])
    whole = _sorted(numbers, list(evidence.verdicts(numbers)))
    return Derived(numbers, whole.confirmed, {**changed, **whole.changed}, whole.say, whole.open)


def _settled(evidence: Evidence, numbers: Mapping[str, int]) -> set[str]:
    """Numbers on ways that fit and that nothing else fits."""
    return {name for verdict in evidence.verdicts(numbers) if verdict.confirmed and verdict.alone for name in verdict.way.numbers}


def _of_new_ways(
    evidence: Evidence, numbers: Mapping[str, int], settled: Set[str], verdicts: list[Verdict], speaking: dict[tuple[str, int], list[str]]
) -> dict[str, int]:
    """Numbers that the other version did not have, of ways to outputs that nothing it had leads to."""
    reached = {(verdict.call, verdict.way.output) for verdict in verdicts if verdict.confirmed}
    fresh: dict[str, int] = {}
    for call, ways in WAYS.items():
        for way in ways:
            unknown = way.numbers - numbers.keys()
            if (
                unknown
                and not unknown & NOT_NEW
                and way.relation != "say"
                and (call, way.output) not in reached
                and _one_a_step(way, unknown)
            ):
                for name, value in evidence.new(call, way, numbers, unknown, settled).items():
                    fresh.setdefault(name, value)
                    speaking.setdefault((name, fresh[name]), []).append(f"{call}.{way.output}")
    return fresh


def _one_a_step(way: Way, unknown: frozenset[str]) -> bool:
    return all(sum(term.number in unknown for term in step) <= 1 for step in way.steps) and not any(n.startswith(GLOBAL) for n in unknown)


def _sorted(numbers: dict[str, int], verdicts: list[Verdict]) -> Derived:
    confirmed, changed, say, left = dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]]()
    for verdict in verdicts:
        if verdict.confirmed:
            kind = say if verdict.way.relation == "say" else confirmed
            for name in verdict.way.numbers:
                kind.setdefault(name, []).append(str(verdict))
        for name in verdict.others:
            changed.setdefault(name, []).append(str(verdict))
        if not verdict.confirmed and not verdict.others:
            for name in verdict.way.numbers - confirmed.keys():
                left.setdefault(name, []).append(str(verdict))
    numbers |= {name: value for verdict in verdicts for name, value in verdict.others.items()}
    return Derived(numbers, confirmed, changed, say, left)
