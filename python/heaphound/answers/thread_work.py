"""What threads are in the middle of, that others wait for: tasks and type initializers, by their frames.

A task that runs is `this` of the method that executes it: Task.ExecuteWithThreadLocal, or MoveNext of the box of an async method, which is
its task too (System.Private.CoreLib, 3.1 to 10.0). A type initializer is its type's `.cctor`.
"""

from functools import cached_property

from heaphound.errors import LayoutError, Malformed, Unreadable
from heaphound.runtime.gc_info.frame_slots import frame_references
from heaphound.runtime.methods import Method
from heaphound.runtime.stacks.frame import ManagedFrame
from heaphound.session import Session

_UNTOLD = (Unreadable, Malformed, LayoutError)
_EXECUTE = ("System.Threading.Tasks.Task", "ExecuteWithThreadLocal")
_BOX = "System.Runtime.CompilerServices.AsyncTaskMethodBuilder<"
_INITIALIZER = ".cctor"


class ThreadWork:
    """Of one dump; all stacks are walked when the first question comes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def running(self, task: int, waiter: int) -> int | None:
        """Managed id of the thread other than `waiter` that runs the task; None where no thread does."""
        return next((thread for thread in self._found[0].get(task, ()) if thread != waiter), None)

    @property
    def initializers(self) -> dict[int, int]:
        """MethodTables of types whose initializer runs to the managed id of the thread that runs it."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[dict[int, list[int]], dict[int, int]]:
        tasks: dict[int, list[int]] = {}
        initializers: dict[int, int] = {}
        for thread in self._session.threads:
            if not thread.alive:
                continue
            try:
                for frame in self._session.stacks.walk(thread):
                    method = frame.method if isinstance(frame, ManagedFrame) else None
                    if not isinstance(frame, ManagedFrame) or method is None:
                        continue
                    if method.name == _INITIALIZER and method.method_table:
                        initializers.setdefault(method.method_table, thread.managed_id)
                    elif _runs_task(method):
                        for address in self._held(frame):
                            tasks.setdefault(address, []).append(thread.managed_id)
            except _UNTOLD:
                continue  # what of this thread can be told is told
        return tasks, initializers

    def _held(self, frame: ManagedFrame) -> list[int]:
        try:
            info = self._session.stacks.gc_infos.at(frame.code.gc_info)
            found = frame_references(self._session.core.memory, info, frame, frame.filter_funclet)
        except _UNTOLD:
            return []
        return [item.value for item in found if not item.interior]


def _runs_task(method: Method) -> bool:
    return (method.declaring_type, method.name) == _EXECUTE or (method.name == "MoveNext" and method.declaring_type.startswith(_BOX))
