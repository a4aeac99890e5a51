"""Which lock a thread blocked in Monitor.Enter wants: the runtime keeps only the count of waiters, but the stack has the object."""

from collections.abc import Collection, Mapping

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable

_MAXIMUM_BYTES = 1 << 16  # native and managed frames of Monitor.Enter take some 2 KB
_MAXIMUM_MARGIN = 512  # the frame that called Monitor.Enter: it usually holds the object too


def lock_wanted(memory: Memory, registers: Mapping[str, int], sp: int, end_sp: int | None, candidates: Collection[int]) -> int | None:
    """The one of `candidates` (objects whose monitor some thread waits to enter) that the innermost frames of a thread refer to.

    `end_sp` is the end of the frames of Monitor.Enter. None where none of them, or more than one, is there: a guess would be worse.
    """
    if end_sp is None or not candidates:
        return None
    wanted = set(candidates)
    for end in (end_sp, end_sp + _MAXIMUM_MARGIN):
        size = min(max(end - sp, 0), _MAXIMUM_BYTES) // 8
        try:
            found = wanted.intersection(memory.words(sp & ~7, size))
        except Unreadable:
            return None
        found |= wanted.intersection(registers.values())
        if found:
            return found.pop() if len(found) == 1 else None
    return None
