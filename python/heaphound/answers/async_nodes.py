"""Objects that wait for something asynchronous: boxes of async methods, continuations, and tasks that stand for other tasks.

src/libraries/System.Private.CoreLib/src/System, 3.1 to 10.0: Runtime/CompilerServices/AsyncTaskMethodBuilderT.cs (the box of an async
method is its Task), PoolingAsyncValueTaskMethodBuilderT.cs (a box that is no Task), Threading/Tasks/Task.cs, TaskContinuation.cs,
TaskFactory.cs. What a method waits for is in the one awaiter field of its state machine that is set: the compiler clears it when the method
goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from heaphound.runtime.fields import Field
from heaphound.runtime.types import Type

COMPLETED = 0x1600000  # Task.TASK_STATE_COMPLETED_MASK: ran to completion, faulted or cancelled
STARTS = 8  # from an object's address to its fields
DEEPEST_STRUCT = 5
AWAITERS = ("<>u__", "$A")  # names that the compilers of C# and Visual Basic give; F# has `awaiter` in the name
TASK_FIELDS = ("m_task", "_task", "_obj")  # of awaiters and of ValueTask: what they wait for

TASK = "System.Threading.Tasks.Task"
STATES, BUILDERS = ("<>1__state", "$State"), ("<>t__builder", "$Builder")

REMAINING = ("_remainingToComplete", "m_count", "_count")  # of 8.0 and later, of WhenAllPromise before, of CompleteOnCountdownPromise

NodeKind = Literal["method", "suspended", "continuation", "all", "any", "unwrap", "timeout", "task", "thunk", "parallel", "each"]

# Tasks that end when others end, by the name of their class without its generic arguments.
_COMBINATORS: dict[str, NodeKind] = {
    "System.Threading.Tasks.Task+WhenAllPromise": "all",
    "System.Threading.Tasks.TaskFactory+CompleteOnCountdownPromise": "all",
    "System.Threading.Tasks.Task+TwoTaskWhenAnyPromise": "any",
    "System.Threading.Tasks.Task+WhenAnyPromise": "any",
    "System.Threading.Tasks.TaskFactory+CompleteOnInvokePromise": "any",
    "System.Threading.Tasks.UnwrapPromise": "unwrap",
    "System.Threading.Tasks.Task+CancellationPromise": "timeout",
    "System.Threading.Tasks.ValueTask+ValueTaskSourceAsTask": "task",
    "System.Threading.Tasks.Task+WhenEachState": "each",  # 9.0 and later
    # 10.0, methods that the runtime suspends: the task that their caller sees
    "System.Runtime.CompilerServices.AsyncHelpers+ThunkTask": "thunk",
    "System.Runtime.CompilerServices.AsyncHelpers+RuntimeAsyncTask": "thunk",
}
SUSPENDED = "System.Runtime.CompilerServices.Continuation"
_CONTINUATIONS = ("ContinuationTaskFrom", "ContinuationResultTaskFrom")


@dataclass(frozen=True, slots=True)
class NodeShape:
    """Where a type of node keeps things, in bytes from the object's address; None for what it does not have.

    `awaited` are offsets, the likeliest first, of references to what it waits for: from the object, or with `machine_is_object` from the
    state machine that the box refers to.
    """

    type: Type
    kind: NodeKind
    flags_offset: int | None
    continuation_offset: int | None
    awaited: tuple[int, ...] = ()
    state_machine: Type | None = None
    state_machine_name: str = ""
    machine_offset: int = 0
    machine_is_object: bool = False
    state_offset: int | None = None
    """From the start of the state machine's fields."""
    action_offset: int | None = None
    """Of the delegate that a continuation runs."""
    remaining_offset: int | None = None
    """Of the number of tasks that have not ended yet, for what waits for all of several."""
    timer_offset: int | None = None
    """Of the timer that ends a wait with a timeout."""
    next_offset: int | None = None
    """Of a suspended method (and of a thunk, to the innermost of them): who goes on after it."""
    resume_offset: int | None = None
    """Of a suspended method: address of the stub that goes on with it."""
    is_machine: bool = False
    """It is a state machine by itself: of a builder that keeps no box that is known, or of a box."""
    builder: tuple[int, ...] = ()
    """Of such a one: offsets of the references in its builder, which lead to what its caller awaits."""


def node_shape(found: Type) -> NodeShape | None:
    """The shape of a type of nodes; None for every other type. Raises Unreadable or Malformed for types that cannot be read."""
    if "StateMachineBox" in found.name:
        return _box(found)
    if found.name == SUSPENDED:
        return _suspended(found)
    plain = plain_name(found.name)
    kind = _COMBINATORS.get(plain)
    if kind is None and (("+<" in found.name and "d__" in found.name) or "+VB$StateMachine_" in found.name):
        return _machine(found)
    if kind is None and plain.startswith(tuple(f"System.Threading.Tasks.{name}" for name in _CONTINUATIONS)):
        kind = "continuation"
    if kind is None:
        return None
    fields = fields_by_name(found)
    direct = [fields[name].offset for name in ("m_antecedent", "_source", "_task") if name in fields and fields[name].is_reference]
    return NodeShape(
        type=found,
        kind=kind,
        flags_offset=_offset(fields.get("m_stateFlags")),
        continuation_offset=_offset(fields.get("m_continuationObject")),
        awaited=tuple(STARTS + offset for offset in direct if offset is not None),
        action_offset=_offset(fields.get("m_action")),
        remaining_offset=_offset(next((fields[name] for name in REMAINING if name in fields), None)) if kind == "all" else None,
        timer_offset=_offset(fields.get("_timer")) if kind == "timeout" else None,
        next_offset=_offset(fields.get("m_stateObject")) if kind == "thunk" else None,
    )


def _suspended(found: Type) -> NodeShape:
    """A method that the runtime suspended; it is a node only where a thunk leads to it, since the runtime keeps used ones for later."""
    fields = fields_by_name(found)
    state, following, resume = (_offset(fields.get(name)) for name in ("State", "Next", "Resume"))
    return NodeShape(found, "suspended", None, None, state_offset=state, next_offset=following, resume_offset=resume)


def _box(found: Type) -> NodeShape | None:
    fields = fields_by_name(found)
    machine = fields.get("StateMachine")
    if machine is None or machine.offset is None:
        return None
    inner = machine.type.type or machine.type.layout
    members = {} if inner is None else fields_by_name(inner)
    state = members.get(STATES[0]) or members.get(STATES[1])
    is_object = machine.is_reference
    base = STARTS if is_object else STARTS + machine.offset
    return NodeShape(
        type=found,
        kind="method",
        flags_offset=_offset(fields.get("m_stateFlags")),
        continuation_offset=_offset(fields.get("m_continuationObject")),
        awaited=tuple(base + offset for offset in _awaiters(members)),
        state_machine=inner,
        state_machine_name=machine.type_name,
        machine_offset=STARTS + machine.offset,
        machine_is_object=is_object,
        state_offset=None if state is None else state.offset,
    )


def _machine(found: Type) -> NodeShape | None:
    """A state machine in an object of its own. One without a builder is that of an iterator that waits for nothing."""
    members = fields_by_name(found)
    state = members.get(STATES[0]) or members.get(STATES[1])
    builder = members.get(BUILDERS[0]) or members.get(BUILDERS[1])
    if state is None or state.offset is None or builder is None:
        return None
    return NodeShape(
        type=found,
        kind="method",
        flags_offset=None,
        continuation_offset=None,
        awaited=tuple(STARTS + offset for offset in _awaiters(members)),
        state_machine=found,
        state_machine_name=found.name,
        machine_offset=STARTS,
        state_offset=state.offset,
        is_machine=True,
        builder=tuple(STARTS + offset for _, offset in _references(builder, 0, DEEPEST_STRUCT)),
    )


def plain_name(name: str) -> str:
    """A type's name without generic arguments, which may stand in the middle: `ValueTask<T>+ValueTaskSourceAsTask`."""
    kept, depth = [], 0
    for character in name:
        depth += character == "<"
        if not depth:
            kept.append(character)
        depth -= character == ">"
    return "".join(kept)


def _awaiters(members: dict[str, Field]) -> list[int]:
    """Offsets in a state machine of what its awaiters refer to; those in fields that hold tasks first."""
    found = [
        entry
        for name, field in members.items()
        if name.startswith(AWAITERS) or "awaiter" in name.lower()
        for entry in _references(field, 0, DEEPEST_STRUCT)
    ]
    return [offset for _, offset in sorted(found, key=lambda entry: entry[0] not in TASK_FIELDS)]


def _references(field: Field, base: int, depth: int) -> Iterator[tuple[str, int]]:
    """(name, offset) of each reference in a field, through the structs inside of it. A ValueTask's result is no task."""
    if field.offset is None or field.name in ("_result", "m_result"):
        return
    at = base + field.offset
    if field.is_reference:
        yield field.name, at
    elif field.type.layout is not None and depth:
        for inner in fields_by_name(field.type.layout).values():
            yield from _references(inner, at, depth - 1)


def fields_by_name(found: Type) -> dict[str, Field]:
    """Instance fields, inherited ones too."""
    return {field.name: field for field in found.fields if not field.is_static}


def _offset(field: Field | None) -> int | None:
    return None if field is None or field.offset is None else STARTS + field.offset
