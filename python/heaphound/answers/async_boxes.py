"""Boxes of async state machines: what each waits at, and which box goes on when it ends.

src/libraries/System.Private.CoreLib/src/System/Runtime/CompilerServices/AsyncTaskMethodBuilderT.cs, Threading/Tasks/Task.cs and
TaskContinuation.cs, 6.0 to 10.0: the box of an async method is its Task; who awaits it is in `m_continuationObject`: a box, an Action on
a box, a continuation with such an Action, or a list of these. Boxes of pooled ValueTask methods have no Task: theirs is in
`_valueTaskSource`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.fields import Field
from heaphound.runtime.types import Type
from heaphound.session import Session

COMPLETED = 0x1600000  # Task.TASK_STATE_COMPLETED_MASK: ran to completion, faulted or cancelled
STARTS = 8  # from an object's address to its fields
HOPS = 8  # from a continuation to the box behind it: wrappers within wrappers
LIST_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class BoxShape:
    """Where a type of box keeps things, in bytes from the object's address; None for what it does not have."""

    type: Type
    state_machine: Type | None
    state_machine_name: str
    machine_offset: int
    machine_is_object: bool
    state_offset: int | None
    flags_offset: int | None
    continuation_offset: int | None


def box_shape(found: Type) -> BoxShape | None:
    """The shape of a type of boxes; None for every other type. Raises Unreadable or Malformed for types that cannot be read."""
    if "StateMachineBox" not in found.name:
        return None
    fields = _by_name(found)
    machine = fields.get("StateMachine")
    if machine is None or machine.offset is None:
        return None
    inner = machine.type.type or machine.type.layout
    state = None if inner is None else _by_name(inner).get("<>1__state")
    flags, continuation = _offset(fields.get("m_stateFlags")), _offset(fields.get("m_continuationObject"))
    if continuation is None and "_valueTaskSource" in fields:
        continuation = _source_continuation(fields["_valueTaskSource"])
    start = STARTS + machine.offset
    state_offset = None if state is None else state.offset
    return BoxShape(found, inner, machine.type_name, start, machine.is_reference, state_offset, flags, continuation)


def _by_name(found: Type) -> dict[str, Field]:
    return {field.name: field for field in found.fields if not field.is_static}


def _offset(field: Field | None) -> int | None:
    return None if field is None or field.offset is None else STARTS + field.offset


def _source_continuation(source: Field) -> int | None:
    """ManualResetValueTaskSourceCore keeps the awaiting box as the state of its continuation."""
    outer, inner = source.offset, None if source.type.layout is None else _by_name(source.type.layout).get("_continuationState")
    return None if outer is None or inner is None or inner.offset is None else STARTS + outer + inner.offset


class Continuations:
    """From a continuation object to the boxes that it resumes."""

    def __init__(self, session: Session, shapes: dict[int, BoxShape]) -> None:
        self._memory = session.core.memory
        self._types = session.types
        self._mask = ~session.runtime.layout.constant("ObjectToMethodTableUnmask")
        self._shapes = shapes
        self._offsets: dict[int, tuple[int, ...]] = {}

    def boxes(self, continuation: int) -> Iterator[int]:
        """Addresses of boxes behind a continuation; none for continuations that are no await (a ContinueWith, a waiting thread)."""
        pending, seen = [(continuation, 0)], set[int]()
        while pending:
            address, hops = pending.pop()
            if not address or address in seen or hops > HOPS or len(seen) > LIST_LIMIT:
                continue
            seen.add(address)
            table = self._memory.pointer(address) & self._mask
            if table in self._shapes:
                yield address
                continue
            pending.extend((inner, hops + 1) for inner in self._inside(address, table))

    def _inside(self, address: int, table: int) -> list[int]:
        offsets = self._offsets.get(table)
        found = self._types.type(table)
        if found.is_array:
            count = min(self._memory.u32(address + STARTS), LIST_LIMIT)
            return [] if found.element is None or not found.element.is_reference else [*self._memory.words(address + 2 * STARTS, count)]
        if offsets is None:
            names = ("_target", "m_action", "_continuation", "m_continuation", "_invokeAction", "_items")
            offsets = tuple(
                STARTS + field.offset for field in found.fields if field.name in names and field.offset is not None and field.is_reference
            )
            self._offsets[table] = offsets
        return [self._memory.pointer(address + offset) for offset in offsets]


def safe_shape(session: Session, method_table: int) -> BoxShape | None:
    """`box_shape` of a method table of the heap; None for types that cannot be read (the walk tells those)."""
    try:
        return box_shape(session.types.type(method_table))
    except (Unreadable, Malformed):
        return None
