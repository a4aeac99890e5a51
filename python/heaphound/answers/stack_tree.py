"""Merges stacks that begin alike into one tree."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from heaphound.results.stack import ParallelRow

LAST_METHODS = 20
MOST_METHODS = 16  # as of single stacks


class ThreadKey(NamedTuple):
    """A thread of the tree: by its managed id, or by its OS id if it is `native`, one that the runtime does not know."""

    native: bool
    number: int


Stacks = Mapping[ThreadKey, Sequence[str]]


def merge_stacks(stacks: Stacks, limit: int | None = None) -> Iterator[ParallelRow]:
    """Rows of the tree, most threads first; `stacks` are methods, outermost first. Without recursion: stacks can be deep.

    Of a run of more methods than `limit` (None: all) the outermost and the last ones are kept.
    """
    work: list[tuple[int, int, list[ThreadKey]]] = [(0, 0, group) for group in reversed(_groups(stacks, sorted(stacks), 0))]
    while work:
        depth, start, members = work.pop()
        end = _common_end(stacks, members, start)
        cut = end if limit is None else min(end, start + limit)
        last = max(cut, end - LAST_METHODS)
        ended = [member for member in members if len(stacks[member]) == end]
        between = sorted(set(stacks[members[0]][cut:last]))
        yield ParallelRow(
            depth=depth,
            threads=_numbers(members, native=False),
            methods=tuple(stacks[members[0]][start:cut]),
            ends=_numbers(ended, native=False),
            methods_left_out=last - cut,
            innermost_methods=tuple(stacks[members[0]][last:end]),
            recursion_left_out=tuple(between) if len(between) <= MOST_METHODS else (),
            native_threads=_numbers(members, native=True),
            native_ends=_numbers(ended, native=True),
        )
        longer = [member for member in members if len(stacks[member]) > end]
        work.extend((depth + 1, end, group) for group in reversed(_groups(stacks, longer, end)))


def _numbers(members: Sequence[ThreadKey], native: bool) -> tuple[int, ...]:
    return tuple(member.number for member in members if member.native == native)


def _groups(stacks: Stacks, members: Sequence[ThreadKey], at: int) -> list[list[ThreadKey]]:
    """Threads by the method at a position, the largest group first."""
    found: dict[str, list[ThreadKey]] = {}
    for member in members:
        found.setdefault(stacks[member][at], []).append(member)
    return sorted(found.values(), key=lambda group: (-len(group), group[0]))


def _common_end(stacks: Stacks, members: Sequence[ThreadKey], start: int) -> int:
    """Where the run of frames that all members share ends."""
    first = stacks[members[0]]
    end = start
    while end < len(first) and all(end < len(stacks[member]) and stacks[member][end] == first[end] for member in members):
        end += 1
    return end
