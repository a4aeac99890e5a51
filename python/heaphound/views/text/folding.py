"""Folds recursion: a run of frames in which few methods come again and again is shown by its beginning and a count."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from heaphound.views.quantities import count

MOST_METHODS = 16  # that call each other in turn, in whatever order
FOLDED_FROM = 6  # times as many frames as methods; shorter runs are shown as they are
SHOWN = 2  # times as many frames as methods

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fold:
    """`frames` in a row that are not shown. `keys` tell their methods; none: they may be any."""

    frames: int
    keys: frozenset[Hashable]

    def words(self) -> str:
        """``... 99,998 more frames of the same 2 methods``."""
        more = f"... {count(self.frames, 'more frame')}"
        if not self.keys:
            return more
        return f"{more} of the same method" if len(self.keys) == 1 else f"{more} of the same {len(self.keys)} methods"


def fold(items: Sequence[T], key: Callable[[T], Hashable]) -> Iterator[T | Fold]:
    """The items, with a Fold in place of the rest of each long run. Cost: linear."""
    index = 0
    while index < len(items):
        methods, end = _run(items, index, key)
        if not methods:
            yield items[index]
            index += 1
            continue
        shown = index + SHOWN * len(methods)
        yield from items[index:shown]
        yield Fold(end - shown, methods)
        index = end


def join(before: Iterable[T | Fold], between: Fold | None, behind: Iterable[T | Fold], key: Callable[[T], Hashable]) -> Iterator[T | Fold]:
    """Both parts of a stack with what was left out `between` them; what is of the same methods on either side becomes one Fold."""
    latest: Fold | None = None
    for item in (*before, *((between,) if between is not None else ()), *behind):
        merged = None if latest is None else _merged(latest, item, key)
        if merged is not None:
            latest = merged
            continue
        if latest is not None:
            yield latest
        latest = item if isinstance(item, Fold) else None
        if latest is None:
            yield item
    if latest is not None:
        yield latest


def _merged(latest: Fold, item: T | Fold, key: Callable[[T], Hashable]) -> Fold | None:
    """One Fold for both, where they are of the same methods."""
    if not isinstance(item, Fold):
        return Fold(latest.frames + 1, latest.keys) if key(item) in latest.keys else None
    alike = item.keys and latest.keys and (item.keys <= latest.keys or latest.keys <= item.keys)
    return Fold(latest.frames + item.frames, latest.keys | item.keys) if alike else None


def _run(items: Sequence[T], start: int, key: Callable[[T], Hashable]) -> tuple[frozenset[Hashable], int]:
    """(keys, end) of the run of the fewest methods from `start` on that is long enough to fold; no keys: there is none."""
    found: dict[Hashable, int] = {}
    end = start
    while end < len(items):
        method = key(items[end])
        if method not in found and (_folds(found, end - start) or len(found) == MOST_METHODS):
            break
        found[method] = found.get(method, 0) + 1
        end += 1
    return (frozenset(found), end) if _folds(found, end - start) else (frozenset(), start)


def _folds(found: dict[Hashable, int], frames: int) -> bool:
    """Whether the methods, with how often each was met, make a recursion: one that came only once or twice called it."""
    return bool(found) and frames >= FOLDED_FROM * len(found) and min(found.values()) > SHOWN
