"""Multicast delegates with many subscribers: where they are, and who the subscribers are.

src/System.Private.CoreLib/src/System/MulticastDelegate.CoreCLR.cs, 6.0 to 10.0: a delegate with several targets keeps them in
`_invocationList` (object[], grown by doubling and shared between successive versions), of which the first `_invocationCount` count. A
delegate of one static method has its method in `_methodPtrAux` and itself as `_target`; one of an instance method has it in `_methodPtr`.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.subject import Subject
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.code import DelegateTarget
from heaphound.runtime.methods import Method
from heaphound.runtime.types import Type

FIELDS_START = 8
ELEMENTS_START = 16
BLOCK = 1 << 18  # delegates looked at together: lists have millions, and what is read twice should still be in the processor's cache


@dataclass(frozen=True, slots=True)
class InvocationList:
    """A delegate with many subscribers: `head_index` is the delegate object, `array_index` its list, of which `count` are in use."""

    head_index: int
    array_index: int
    count: int


@dataclass(frozen=True, slots=True)
class Handler:
    """Subscribers that run the same method.

    `declaring_type` is the metadata name of the method's type, None when the code address leads to no method. `distinct_targets` is 0
    for a static method; `delegates` counts delegate objects, fewer than `count` when one object was added several times.
    """

    method: str
    declaring_type: str | None
    name: str | None
    is_static: bool
    count: int
    distinct_targets: int
    delegates: int
    target_type: str | None
    target_method_table: int | None

    @property
    def repeated(self) -> int:
        """How many of the subscriptions repeat an earlier one of the same method on the same target."""
        return self.count - max(1, self.distinct_targets)


@dataclass(frozen=True, slots=True)
class DelegateFields:
    """Offsets from a delegate object's address."""

    target: int
    method_pointer: int
    method_pointer_aux: int
    invocation_list: int
    invocation_count: int


def delegate_fields(delegate: Type) -> DelegateFields:
    """Where a delegate's fields lie. Malformed when its class is not the one described above."""
    offsets = {field.name: FIELDS_START + field.offset for field in delegate.fields if field.offset is not None and not field.is_static}
    try:
        return DelegateFields(
            offsets["_target"], offsets["_methodPtr"], offsets["_methodPtrAux"], offsets["_invocationList"], offsets["_invocationCount"]
        )
    except KeyError as error:
        raise Malformed(f"{delegate.name} has no field {error.args[0]}") from None


def long_invocation_lists(subject: Subject, minimum: int) -> Iterator[InvocationList]:
    """Delegates that a root reaches and that have at least `minimum` subscribers. O(object arrays of that length)."""
    table = subject.graph.table
    for array_type in _object_array_types(subject):
        arrays = subject.instances(array_type.method_table)
        large = arrays[table.sizes_of(arrays) >= ELEMENTS_START + 8 * minimum]
        for array_index in large.tolist():
            for referrer in subject.graph.referrers(array_index).tolist():
                count = _count(subject, referrer, array_index)
                if count >= minimum and subject.graph.is_reachable(referrer):
                    yield InvocationList(referrer, array_index, count)


def _object_array_types(subject: Subject) -> Iterator[Type]:
    """The types of `object[]` that the heap has (several, when collectible contexts share it)."""
    for method_table in subject.graph.table.method_tables.tolist():
        try:
            found = subject.types.type(method_table)
            if found.is_vector and found.name == "System.Object[]":
                yield found
        except (Unreadable, Malformed):
            continue  # the walk has listed what cannot be read


def _count(subject: Subject, index: int, array_index: int) -> int:
    """Subscribers of the delegate that has this array as its invocation list; 0 if the object is no such delegate."""
    try:
        found = subject.type_of(index)
        if not found.is_delegate:
            return 0
        fields, memory, address = delegate_fields(found), subject.runtime.memory, subject.address_of(index)
        if memory.pointer(address + fields.invocation_list) != subject.address_of(array_index):
            return 0
        count = memory.i64(address + fields.invocation_count)
        capacity = memory.u32(subject.address_of(array_index) + FIELDS_START)
    except (Unreadable, Malformed):
        return 0  # what cannot be read as a delegate is not one; the walk has listed the damage
    return count if 0 < count <= capacity else 0


def handlers(subject: Subject, found: InvocationList) -> list[Handler]:
    """The subscribers, grouped by the method they run, the most frequent first. Raises Unreadable, Malformed."""
    memory = subject.runtime.memory
    data = memory.bytes(subject.address_of(found.array_index) + ELEMENTS_START, 8 * found.count)
    delegates = np.frombuffer(data, dtype=np.uint64)
    if not delegates.all():
        delegates = delegates[delegates != 0]
    fields = delegate_fields(subject.type_of(found.head_index))
    made = [_handler(subject, fields, one.name, one.target, delegates[one.rows]) for one in callees(subject, fields, delegates)]
    return sorted(made, key=lambda handler: (-handler.count, handler.method))


@dataclass(frozen=True, slots=True)
class Callee:
    """A method that delegates call, in words, and the positions of those delegates."""

    name: str
    target: DelegateTarget
    rows: NDArray[np.int64] | slice


def callees(subject: Subject, fields: DelegateFields, delegates: NDArray[np.uint64]) -> list[Callee]:
    """Which methods these delegates (addresses, none null, none multicast) call. Raises Unreadable, Malformed."""
    code = np.empty(len(delegates), np.uint64)
    for start in range(0, len(delegates), BLOCK):
        some = delegates[start : start + BLOCK]
        code[start : start + BLOCK] = column(subject, some, fields.method_pointer_aux)
        direct = np.flatnonzero(code[start : start + BLOCK] == 0)
        if len(direct):
            code[start + direct] = column(subject, some[direct], fields.method_pointer)
    if len(code) and (code == code[0]).all():  # as usual here
        target = _resolve(subject, fields, int(delegates[0]))
        return [Callee(_name(target), target, slice(None))]
    groups: dict[str, list[NDArray[np.int64]]] = {}
    called: dict[str, DelegateTarget] = {}
    for rows_of_code in _rows_by_value(code):
        found_target = _resolve(subject, fields, int(delegates[rows_of_code[0]]))
        name = _name(found_target)
        groups.setdefault(name, []).append(rows_of_code)
        called.setdefault(name, found_target)
    return [Callee(name, called[name], parts[0] if len(parts) == 1 else np.concatenate(parts)) for name, parts in groups.items()]


def _name(target: DelegateTarget) -> str:
    return f"<code at {target.code:#x}>" if target.method is None else target.method.full_name


def column(subject: Subject, objects: NDArray[np.uint64], offset: int) -> NDArray[np.uint64]:
    """One field of many objects, by their addresses. Raises Unreadable for the first that the dump lacks."""
    values, present = subject.runtime.memory.image.gather_u64(objects + np.uint64(offset))
    if not present.all():
        raise Unreadable(int(objects[int(np.argmin(present))]) + offset, 8)
    return values


def _resolve(subject: Subject, fields: DelegateFields, delegate: int) -> DelegateTarget:
    """What one delegate calls."""
    memory = subject.runtime.memory
    return subject.code.resolve_delegate(
        delegate,
        memory.pointer(delegate + fields.target),
        memory.pointer(delegate + fields.method_pointer),
        memory.pointer(delegate + fields.method_pointer_aux),
        memory.pointer(delegate + fields.invocation_list),
        memory.u64(delegate + fields.invocation_count),
    )


def _handler(subject: Subject, fields: DelegateFields, name: str, called: DelegateTarget, delegates: NDArray[np.uint64]) -> Handler:
    is_static = called.kind == "open"
    # the target of a static method's delegate is the delegate itself
    targets = delegates[:0] if is_static else column(subject, delegates, fields.target)
    distinct = _distinct(targets[targets != 0])
    target_type = _common_type(subject, distinct) if len(distinct) else None
    return Handler(
        method=name,
        declaring_type=None if called.method is None else definition_of(subject, called.method),
        name=None if called.method is None else called.method.name,
        is_static=is_static,
        count=len(delegates),
        distinct_targets=0 if is_static else len(distinct),
        delegates=len(_distinct(delegates)),
        target_type=None if target_type is None else target_type.name,
        target_method_table=None if target_type is None else target_type.method_table,
    )


def _rows_by_value(values: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Positions of equal values, one array for each value."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(values[order])) + 1)


def _distinct(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The values without repetition, ascending. numpy's own `unique` hashes since 2.3, and the hash of addresses that lie one object
    apart collides: a million of them took 1.8 s, sorting takes 0.03 s."""
    if (values[1:] > values[:-1]).all():
        return values  # in order of address already, as objects made one after the other are
    ordered = np.sort(values)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))] if len(ordered) else ordered


def definition_of(subject: Subject, method: Method) -> str | None:
    """Metadata name of the type that declares a method; None for methods without metadata."""
    module = subject.types.module_at(method.module)
    if module is None or module.metadata is None or not method.rid:
        return None
    return module.metadata.typedef_full_name(module.metadata.method_owner(method.rid))


def _common_type(subject: Subject, targets: NDArray[np.uint64]) -> Type | None:
    """The most frequent type of some objects; None where none of their first words is in the dump."""
    words, present = subject.runtime.memory.image.gather_u64(targets)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF ^ subject.runtime.layout.constant("ObjectToMethodTableUnmask"))
    counts = Counter((words[present] & mask).tolist())
    return subject.types.type(counts.most_common(1)[0][0]) if counts else None
