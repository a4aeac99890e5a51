"""Threads at the ends of logical stacks: those that block until a task ends, and those that run an async method just now."""

from collections.abc import Iterable

from heaphound.errors import HeaphoundError
from heaphound.results.tasks import AsyncThreadRow
from heaphound.runtime.stacks.frame import Frame, ManagedFrame
from heaphound.runtime.stacks.waits import WAITING_FRAMES, find_wait
from heaphound.session import Session

LIBRARIES = ("System.", "Microsoft.", "Internal.", "Interop")


class AsyncThreads:
    """Finds threads by the objects that their frames hold, exactly."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._holding: dict[int, list[int]] = {}
        self._rows: dict[int, AsyncThreadRow] = {}
        for root in session.stack_roots.exact:
            threads = self._holding.setdefault(root.object, [])
            if root.os_id not in threads:
                threads.append(root.os_id)

    def with_object(self, addresses: Iterable[int]) -> tuple[AsyncThreadRow, ...]:
        """Threads that have one of the objects in a frame, by kernel id."""
        found = sorted({os_id for address in addresses for os_id in self._holding.get(address, ())})
        return tuple(self._row(os_id) for os_id in found)

    def _row(self, os_id: int) -> AsyncThreadRow:
        if os_id not in self._rows:
            thread = next(thread for thread in self._session.threads if thread.os_id == os_id)
            try:
                frames = [frame for frame in self._session.stacks.walk(thread) if isinstance(frame, Frame)]
            except HeaphoundError:
                frames = []
            wait = find_wait(frames[:WAITING_FRAMES]) if frames else None
            method = _written(frames)
            self._rows[os_id] = AsyncThreadRow(os_id, thread.managed_id, thread.name, method, None if wait is None else wait.kind)
        return self._rows[os_id]


def _written(frames: list[Frame]) -> str | None:
    """The innermost method that is no library's; the innermost of all where every one is."""
    names = [frame.code.method.full_name for frame in frames if isinstance(frame, ManagedFrame) and frame.code.method is not None]
    return next((name for name in names if not name.startswith(LIBRARIES)), names[0] if names else None)
