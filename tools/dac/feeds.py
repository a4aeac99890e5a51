"""Which bytes of the dumped process feed which output of a DAC's answer: ask, change a byte of what was read, ask again.

A changed byte that shows in an output at its own place and by its own difference says where the output is copied from. One that changes
the answer in another way, or ends the DAC, is a pointer, a count or a flag on the way there.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from tools.dac.library import Library
from tools.dac.shapes import RESULT, Answer, Call
from tools.dac.trials import run_trials

WORD_BYTES = 8
TAG_BITS = 7  # in the lowest bits of a pointer
CHANGED_BITS = 0x08  # in each byte: leaves the tags of pointers alone and moves them by a multiple of 8
LARGEST_READ = 16_384  # metadata is read in whole; no structure is larger
WORDS_TOGETHER = 8
WIDE = 1 << 32  # an output from here on is 8 bytes wide
Reads = tuple[tuple[int, int], ...]
_Patch = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class Feeds:
    """What one call rests on. `words` are the 8-byte words that change anything; `copied` by output the addresses it is copied from.

    `changing` has by byte the outputs that a change of it changes; a byte that ended the DAC is in it with all of them.
    """

    answer: Answer
    reads: Reads
    words: frozenset[int]
    changing: dict[int, frozenset[str]]
    copied: dict[str, frozenset[int]]
    memory: dict[int, int] = field(repr=False)

    def extent(self, address: int) -> int:
        """How many bytes were read from `address` on, as one piece; 0 where none were."""
        index = bisect_right(self._starts, address)
        return max((start + size - address for start, size in self._sorted[max(0, index - 64) : index]), default=0)

    @cached_property
    def _sorted(self) -> list[tuple[int, int]]:
        return sorted(set(self.reads))

    @cached_property
    def _starts(self) -> list[int]:
        return [start for start, _ in self._sorted]


def feeds(library: Library, call: Call, arguments: tuple[int, ...], only: Callable[[Reads], Set[int]] | None = None) -> Feeds:
    """Ask, and find out: first by groups of words, then by words, then by bytes, each time only where something changed.

    `only` gives, by what was read, the words that are looked at; all without it.
    """
    target = library.target
    target.reads = []
    answer = _ask(library, call, arguments, ())
    reads, target.reads = tuple(dict.fromkeys(target.reads)), None
    words = {word for start, size in reads if size <= LARGEST_READ for word in range(start & -WORD_BYTES, start + size, WORD_BYTES)}
    wanted = words if only is None else only(reads) & set(words)
    memory = {word: raw for word in sorted(wanted) if len(raw := target.memory(word, WORD_BYTES)) == WORD_BYTES}

    def changes(patch: _Patch) -> Answer:
        changed = _ask(library, call, arguments, patch)
        lost: Answer = {name: 0 for name in answer if name not in changed}
        return {name: value for name, value in changed.items() if answer.get(name) != value} | lost

    outcomes = _by_words(memory, changes)
    followed = {word for word in outcomes if int.from_bytes(memory[word], "little") & -(TAG_BITS + 1) in {start for start, _ in reads}}
    changing = {word + index: _names(outcomes[word], answer) for word in followed for index in range(WORD_BYTES)}
    copied: dict[str, set[int]] = {}
    wide = set[int]()
    for bytes_of_word in (range(1), range(1, WORD_BYTES)):
        rest = outcomes.keys() - wide - (followed if bytes_of_word.start else set())
        places = [word + index for word in sorted(rest) for index in bytes_of_word]
        for address, outcome in zip(places, run_trials([_flip(memory, address) for address in places], changes), strict=True):
            changing[address] = _names(outcome, answer)
            for name, place in _copies(answer, outcome or {}, memory[address & -WORD_BYTES][address % WORD_BYTES]):
                copied.setdefault(name, set()).add(address - place)
                before = answer[name]
                if address % WORD_BYTES == place == 0 and isinstance(before, int) and before >= WIDE:
                    wide.add(address)
                    changing |= dict.fromkeys(range(address, address + WORD_BYTES), changing[address])
    values = {word: int.from_bytes(raw, "little") for word, raw in memory.items()}
    return Feeds(answer, reads, frozenset(outcomes), changing, {name: frozenset(found) for name, found in copied.items()}, values)


def _by_words(memory: dict[int, bytes], changes: Callable[[_Patch], Answer]) -> dict[int, Answer | None]:
    """The words that change the answer, with what they change; None where the DAC ends."""
    words = list(memory)
    groups = [words[first : first + WORDS_TOGETHER] for first in range(0, len(words), WORDS_TOGETHER)]
    patches = [[(word, _flipped(memory[word])) for word in group] for group in groups]
    likely = [word for group, outcome in zip(groups, run_trials(patches, changes), strict=True) if outcome != {} for word in group]
    single = [[(word, _flipped(memory[word]))] for word in likely]
    return {word: outcome for word, outcome in zip(likely, run_trials(single, changes), strict=True) if outcome != {}}


def _names(outcome: Answer | None, answer: Answer) -> frozenset[str]:
    return frozenset(answer if outcome is None else outcome)


def _ask(library: Library, call: Call, arguments: tuple[int, ...], patch: _Patch) -> Answer:
    library.target.patch = patch
    try:
        library.flush()
        return call.ask(library, arguments)
    finally:
        library.target.patch = ()


def _flip(memory: dict[int, bytes], address: int) -> _Patch:
    word = memory[address & -WORD_BYTES]
    return [(address, _flipped(word[address % WORD_BYTES : address % WORD_BYTES + 1]))]


def _flipped(raw: bytes) -> bytes:
    return bytes(byte ^ CHANGED_BITS for byte in raw)


def _copies(answer: Answer, outcome: Answer, byte: int) -> list[tuple[str, int]]:
    """The outputs that show the change of the byte and nothing else, each with the place of that byte in it."""
    difference = (byte ^ CHANGED_BITS) - byte
    found = []
    for name, after in outcome.items():
        before = answer.get(name)
        if name != RESULT and isinstance(before, int) and isinstance(after, int):
            places = (place for place in range(WORD_BYTES) if (after - before - (difference << 8 * place)) % (1 << 64) == 0)
            found += [(name, place) for place in places]
    return found
