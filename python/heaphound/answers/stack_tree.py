"""Merges stacks that begin alike into one tree."""

from collections.abc import Iterator, Mapping, Sequence

from heaphound.results.stack import ParallelRow


def merge_stacks(stacks: Mapping[int, Sequence[str]]) -> Iterator[ParallelRow]:
    """Rows of the tree, most threads first; `stacks` is managed id to methods, outermost first. Without recursion: stacks can be deep."""
    work: list[tuple[int, int, list[int]]] = [(0, 0, group) for group in reversed(_groups(stacks, sorted(stacks), 0))]
    while work:
        depth, start, members = work.pop()
        end = _common_end(stacks, members, start)
        yield ParallelRow(
            depth=depth,
            threads=tuple(members),
            methods=tuple(stacks[members[0]][start:end]),
            ends=tuple(member for member in members if len(stacks[member]) == end),
        )
        longer = [member for member in members if len(stacks[member]) > end]
        work.extend((depth + 1, end, group) for group in reversed(_groups(stacks, longer, end)))


def _groups(stacks: Mapping[int, Sequence[str]], members: Sequence[int], at: int) -> list[list[int]]:
    """Threads by the method at a position, the largest group first."""
    found: dict[str, list[int]] = {}
    for member in members:
        found.setdefault(stacks[member][at], []).append(member)
    return sorted(found.values(), key=lambda group: (-len(group), group[0]))


def _common_end(stacks: Mapping[int, Sequence[str]], members: Sequence[int], start: int) -> int:
    """Where the run of frames that all members share ends."""
    first = stacks[members[0]]
    end = start
    while end < len(first) and all(end < len(stacks[member]) and stacks[member][end] == first[end] for member in members):
        end += 1
    return end
