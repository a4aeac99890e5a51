"""Threads at the ends of logical stacks: those that block until a task ends, and those that run an async method just now."""

from collections.abc import Mapping
from dataclasses import replace

from heaphound.address import Address
from heaphound.answers.async_nodes import plain_name
from heaphound.errors import HeaphoundError
from heaphound.results.tasks import AsyncThreadRow
from heaphound.runtime.stack_roots import StackRoot
from heaphound.runtime.stacks.frame import Frame, ManagedFrame
from heaphound.runtime.stacks.waits import WAITING_FRAMES, find_wait
from heaphound.runtime.types import Type
from heaphound.session import Session

LIBRARIES = ("System.", "Microsoft.", "Internal.", "Interop")


class AsyncThreads:
    """Finds threads by the objects that their frames hold, exactly."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._holding: dict[int, list[StackRoot]] = {}
        self._rows: dict[int, AsyncThreadRow] = {}
        for root in session.stack_roots.exact:
            self._holding.setdefault(root.object, []).append(root)

    def blocked(self, events: Mapping[int, int]) -> tuple[AsyncThreadRow, ...]:
        """Threads that wait on one of the events, each of which is set at the end of a task: event → task."""
        tasks = {root.os_id: task for event, task in events.items() for root in self._holding.get(event, ())}
        return tuple(replace(self._row(os_id), task=Address(tasks[os_id])) for os_id in sorted(tasks))

    def running(self, machine: Type | None, box: int) -> tuple[AsyncThreadRow, ...]:
        """Threads that are in the method of a state machine: its box is in a frame of theirs, and so is a frame of the method itself.

        Who only has the task, to wait for it, does not run it.
        """
        found = sorted({root.os_id for root in self._holding.get(box, ())})
        name = None if machine is None else plain_name(machine.name)
        return tuple(self._row(os_id) for os_id in found if name is None or name in self._machines(os_id))

    def _machines(self, os_id: int) -> set[str]:
        """Types of which the thread is in a MoveNext, without generic arguments."""
        methods = (frame.code.method for frame in self._frames(os_id) if isinstance(frame, ManagedFrame))
        return {plain_name(method.declaring_type) for method in methods if method is not None and method.name.endswith("MoveNext")}

    def _frames(self, os_id: int) -> list[Frame]:
        thread = next(thread for thread in self._session.threads if thread.os_id == os_id)
        try:
            return [frame for frame in self._session.stacks.walk(thread) if isinstance(frame, Frame)]
        except HeaphoundError:
            return []

    def _row(self, os_id: int) -> AsyncThreadRow:
        if os_id not in self._rows:
            thread = next(thread for thread in self._session.threads if thread.os_id == os_id)
            frames = self._frames(os_id)
            wait = find_wait(frames[:WAITING_FRAMES]) if frames else None
            method = _written(frames)
            self._rows[os_id] = AsyncThreadRow(os_id, thread.managed_id, thread.name, method, None if wait is None else wait.kind)
        return self._rows[os_id]


def _written(frames: list[Frame]) -> str | None:
    """The innermost method that is no library's; the innermost of all where every one is."""
    names = [frame.code.method.full_name for frame in frames if isinstance(frame, ManagedFrame) and frame.code.method is not None]
    return next((name for name in names if not name.startswith(LIBRARIES)), names[0] if names else None)
