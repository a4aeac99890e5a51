"""Rows for what stands in a logical stack: methods by their names and lines, tasks that wait for others by what they do."""

from heaphound.address import Address
from heaphound.answers.async_links import AsyncLinks
from heaphound.answers.async_nodes import STARTS, NodeShape
from heaphound.answers.async_places import Place, Places
from heaphound.answers.async_variables import machine_variables
from heaphound.answers.async_waits import Waits
from heaphound.errors import HeaphoundError
from heaphound.results.tasks import AsyncFrameRow, AsyncVariableRow
from heaphound.runtime.values import Values
from heaphound.session import Session

COMBINATORS = {
    "all": "Task.WhenAll",
    "any": "Task.WhenAny",
    "unwrap": "Task.Unwrap",
    "timeout": "Task.WaitAsync",
    "task": "ValueTask.AsTask",
    "thunk": "the task of a method that the runtime runs",
    "parallel": "Parallel.ForEachAsync",
    "each": "Task.WhenEach",
}


class Frames:
    """Makes the rows."""

    def __init__(self, session: Session, links: AsyncLinks, waits: Waits, values: Values | None) -> None:
        """With `values` the rows have the variables of methods."""
        self._session = session
        self._values = values
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
            source = (place.file, place.first_line)
            variables = self._variables(address, shape)
            return AsyncFrameRow(
                place.method, state, Address(address), shape.state_machine_name, *source, "method", line, variables=variables
            )
        name = COMBINATORS.get(shape.kind) or self._continuation(address, shape.action_offset)
        return AsyncFrameRow(name, None, Address(address), shape.type.name, kind=shape.kind, note=self._note(node, address, shape))

    def _note(self, node: int, address: int, shape: NodeShape) -> str | None:
        memory = self._session.core.memory
        try:
            if shape.remaining_offset is not None:
                remaining = memory.u32(address + shape.remaining_offset)
                lost = 0 if self._session.table.gaps else remaining - int(self._links.awaited_counts[node])
                gone = f", {lost} of them no longer on the heap" if lost > 0 else ""
                return f"{remaining} task{'' if remaining == 1 else 's'} left{gone}"
            timer = 0 if shape.timer_offset is None else memory.pointer(address + shape.timer_offset)
            due = self._waits.due(timer) if timer else None
            return None if due is None else f"for {due} at most"
        except HeaphoundError:
            return None

    def _variables(self, address: int, shape: NodeShape) -> tuple[AsyncVariableRow, ...] | None:
        if self._values is None or shape.state_machine is None:
            return None
        try:
            start = address + shape.machine_offset
            if shape.machine_is_object:
                start = self._session.core.memory.pointer(start) + STARTS
            return machine_variables(self._values, shape.state_machine, start)
        except HeaphoundError:
            return None

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
