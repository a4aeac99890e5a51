"""Many objects of the runtime that each keep a delegate to call later: timers, registrations with a CancellationToken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.code_places import code_row
from heaphound.diagnose.invocation_lists import callees, column, definition_of, delegate_fields
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import CodeRole, CodeSite
from heaphound.runtime.calls import CodeSite as Site
from heaphound.runtime.framework import is_framework
from heaphound.runtime.il_values import FunctionAddress, NewObject, options
from heaphound.runtime.types import Type

FIELDS_START = 8
SITES_LISTED = 5


@dataclass(frozen=True, slots=True)
class CallbackGroup:
    """Objects whose delegates call the same method. `method` is its full name; `declaring_type` a metadata name, None where not known."""

    method: str
    declaring_type: str | None
    name: str | None
    indices: NDArray[np.uint32]

    @property
    def is_framework(self) -> bool:
        """Whether the method is one of .NET."""
        return is_framework(self.method)


def field_offset(owner: Type, *names: str) -> int | None:
    """Bytes from an object's address to the first of these fields that its type has; None where it has none of them."""
    known = {field.name: field.offset for field in owner.fields if not field.is_static}
    found = next((known[name] for name in names if known.get(name) is not None), None)
    return None if found is None else FIELDS_START + found


def callback_groups(subject: Subject, indices: NDArray[np.uint32], callback: int) -> list[CallbackGroup]:
    """Objects that have a delegate in the field at `callback`, by what it calls, most first. Raises Unreadable, Malformed."""
    delegates = column(subject, subject.graph.table.addresses_of(indices), callback)
    indices, delegates = indices[delegates != 0], delegates[delegates != 0]
    heap_index = subject.graph.table.indices_of(delegates[:1])
    if not len(delegates):
        return []
    fields = delegate_fields(subject.type_of(int(heap_index[0])))
    found = [
        CallbackGroup(
            one.name,
            None if one.target.method is None else definition_of(subject, one.target.method),
            None if one.target.method is None else one.target.method.name,
            indices[one.rows],
        )
        for one in callees(subject, fields, delegates)
    ]
    return sorted(found, key=lambda group: -len(group.indices))


def passing(sites: Sequence[Site], group: CallbackGroup) -> list[Site]:
    """Those of the calls that hand over a delegate of the group's method."""
    wanted = (group.declaring_type, group.name)
    return [site for site in sites if any(wanted == _method(value) for argument in site.operation.arguments for value in options(argument))]


def rows_of(sites: Sequence[Site], role: CodeRole, words: str) -> tuple[CodeSite, ...]:
    """The first of some places in code as rows of a finding."""
    return tuple(code_row(site, role, words) for site in sites[:SITES_LISTED])


def _method(value: object) -> tuple[str, str] | None:
    """(declaring type, name) of the method of a new delegate; None for other values."""
    if not isinstance(value, NewObject) or len(value.arguments) != 2 or not isinstance(value.arguments[1], FunctionAddress):
        return None
    method = value.arguments[1].method
    return method.declaring_type, method.name
