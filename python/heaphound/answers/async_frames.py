"""Rows for what stands in a logical stack: methods by their names and lines, tasks that wait for others by what they do."""

from heaphound.address import Address
from heaphound.answers.async_links import AsyncLinks
from heaphound.answers.async_places import Place, Places
from heaphound.answers.async_waits import Waits
from heaphound.errors import HeaphoundError
from heaphound.results.tasks import AsyncFrameRow
from heaphound.session import Session

COMBINATORS = {
    "all": "Task.WhenAll",
    "any": "Task.WhenAny",
    "unwrap": "Task.Unwrap",
    "timeout": "Task.WaitAsync",
    "task": "ValueTask.AsTask",
    "thunk": "the task of a method that the runtime runs",
    "parallel": "Parallel.ForEachAsync",
}


class Frames:
    """Makes the rows."""

    def __init__(self, session: Session, links: AsyncLinks, waits: Waits) -> None:
        self._session = session
        self._links = links
        self._places = Places(session)
        self._waits = waits

    def shown(self, nodes: list[int]) -> list[int]:
        """Without the tasks of methods that are shown themselves."""
        return [node for node in nodes if self._links.shape(node).kind != "thunk"] or nodes

    def row(self, node: int) -> AsyncFrameRow:
        """The row of a node."""
        shape, address, state = self._links.shape(node), self._links.address(node), self._links.state(node)
        if shape.kind == "suspended":
            place = self._resumed(address, shape.resume_offset or 0)
            return AsyncFrameRow(place.method, state, Address(address), shape.type.name, place.file, place.first_line, "suspended")
        if shape.kind == "method":
            place = self._places.of(shape.state_machine, shape.state_machine_name)
            line = None if state is None or place.lines is None else place.lines.get(state)
            return AsyncFrameRow(
                place.method, state, Address(address), shape.state_machine_name, place.file, place.first_line, "method", line
            )
        name = COMBINATORS.get(shape.kind) or self._continuation(address, shape.action_offset)
        return AsyncFrameRow(name, None, Address(address), shape.type.name, kind=shape.kind)

    def _resumed(self, address: int, resume_offset: int) -> Place:
        """The method that the runtime suspended, by the stub that goes on with it."""
        try:
            return self._places.resumed(self._session.core.memory.pointer(address + resume_offset))
        except HeaphoundError:
            return Place("a method that is not known")

    def _continuation(self, address: int, action_offset: int | None) -> str:
        """The method that a continuation will run."""
        try:
            action = 0 if action_offset is None else self._session.core.memory.pointer(address + action_offset)
            if action:
                return self._waits.method_of(action)
        except HeaphoundError:
            pass
        return "a continuation whose method is not known"
