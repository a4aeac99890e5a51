"""From what feeds an output to offsets: the chains of pointers that lead from a known address to where an output is copied from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tools.dac.feeds import TAG_BITS, WORD_BYTES, Feeds, Reads
from tools.dac.path import ANY, GLOBAL, Way
from tools.dac.shapes import Call

LEAST_POINTER = 0x10000
MOST_CHAINS = 4096
REACH_BYTES = 4096  # of a structure whose address was asked about, where the DAC reads a part of it by itself
Chain = tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """A call with its arguments; `bases` are addresses that ways begin at, `given` values that they count with."""

    call: Call
    arguments: tuple[int, ...]
    bases: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, int] = field(default_factory=dict)


def taken_from(feeds: Feeds, way: Way) -> frozenset[int]:
    """The addresses that the output is taken from: none where the answer does not tell."""
    value = feeds.answer.get(way.output)
    if way.relation == "say":
        return frozenset(address for address, outputs in feeds.changing.items() if way.output in outputs)
    if not isinstance(value, int):
        return frozenset()
    if way.relation == "behind":
        return frozenset(word for word in feeds.words if 0 <= feeds.memory[word] - value < REACH_BYTES and value)
    if way.relation == "address":
        return frozenset({value} if value else ())
    # A pointer that the DAC follows before it answers: another value ends the call, so that it shows by the equal value alone.
    held = {word for word in feeds.words if value >= LEAST_POINTER and feeds.memory[word] & ~TAG_BITS == value & ~TAG_BITS}
    return feeds.copied.get(way.output, frozenset()) | held


def chains(feeds: Feeds, way: Way, question: Question, table: Mapping[int, int], given: Sequence[int]) -> frozenset[Chain]:
    """Every chain of offsets that leads to where the output is taken from. `table` has the index in g_dacTable by a variable's address.

    `given` is what each step adds by what the question or the layout file gives: chains are without it. Of a way that begins at a
    variable, the first entry of a chain is the variable's place in g_dacTable.
    """
    places = taken_from(feeds, way)
    found: set[Chain] = set()
    for label, start in starts(feeds.reads, way, question, table):
        if way.start.startswith(GLOBAL):
            found |= {(label, *rest) for rest in _from_variable(feeds, start + given[0], given[1:], places)}
        else:
            reach = REACH_BYTES if start in (*question.arguments, *question.bases.values()) else 0
            found |= set(_from(feeds, start, given, places, reach))
        if len(found) > MOST_CHAINS:
            return frozenset()
    return frozenset(found)


def starts(reads: Reads, way: Way, question: Question, table: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(place in g_dacTable, address) that the way may begin at."""
    if way.start.startswith(GLOBAL):
        yield from ((index, address) for address, index in table.items())
    elif way.start == ANY:
        yield from ((0, start) for start in sorted({start for start, _ in reads}))
    elif not way.start and question.arguments:
        yield 0, question.arguments[0]
    elif way.start in question.bases:
        yield 0, question.bases[way.start]


def _from_variable(feeds: Feeds, variable: int, given: Sequence[int], places: frozenset[int]) -> Iterator[Chain]:
    if not given:
        if variable in places:
            yield ()
    elif variable in feeds.words:
        yield from _from(feeds, feeds.memory[variable] & ~TAG_BITS, given, places)


def _from(feeds: Feeds, pointer: int, given: Sequence[int], places: frozenset[int], reach: int = 0) -> Iterator[Chain]:
    base = pointer + given[0]
    extent = feeds.extent(base) or reach
    if len(given) == 1:
        yield from ((place - base,) for place in places if 0 <= place - base <= extent and extent)
        return
    for word in feeds.words:
        if 0 <= word - base <= extent - WORD_BYTES:
            for rest in _from(feeds, feeds.memory[word] & ~TAG_BITS, given[1:], places):
                yield (word - base, *rest)
