"""Delegates: what they call on what. Fields of System.Delegate and System.MulticastDelegate, recognised by name.

A multicast delegate has an Object[] in `_invocationList`, of which the first `_invocationCount` are delegates. A delegate to a static
method has itself as `_target` and the method in `_methodPtrAux`: `_methodPtr` is a stub that shifts the arguments
(src/coreclr/vm/comdelegate.cpp).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.results.object import Absence, DelegateTarget
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES, Values

_DATA_OFFSET = 16
_LENGTH_OFFSET = 8
_UNMANAGED = (1 << 64) - 1  # `_invocationCount` of a delegate over a native function


@dataclass(frozen=True, slots=True)
class SingleDelegate:
    """One target of a delegate. `target` is None for a static method; `code` is the method's entry (code, precode or stub) address.

    `method_desc` is the MethodDesc that an open delegate to a virtual method keeps in `_invocationCount`, its code being a stub for all
    overrides; None for other delegates.
    """

    address: int
    target: int | None
    code: int
    method_desc: int | None = None


MethodNamer = Callable[[SingleDelegate], str | None]
"""Names the method that a delegate calls, as `Ns.Type.Method(args)`; None when its code is not known."""


class Delegates:
    """Reads delegate objects of one dump."""

    def __init__(self, values: Values, method_name: MethodNamer) -> None:
        self._values = values
        self._memory = values.memory
        self._method_name = method_name
        self._offsets: dict[str, int] | None = None

    def _offset(self, found: Type, name: str) -> int:
        """Bytes from the object's address to a field: by the type's own fields, by the layout where there is no metadata to name them."""
        if self._offsets is None:
            self._offsets = {field.name: OBJECT_HEADER_BYTES + field.offset for field in found.fields if field.offset is not None}
        known = self._offsets.get(name)
        if known is not None:
            return known
        layout = self._values.system.layout
        owner = next((owner for owner in ("Delegate", "MulticastDelegate") if layout.has(owner, name)), None)
        if owner is None or (found.module is not None and found.module.metadata is not None):
            raise Malformed(f"delegate type {found.name} has no field {name}")
        return layout.offset(owner, name)

    def _pointer(self, address: int, found: Type, name: str) -> int:
        return self._memory.pointer(address + self._offset(found, name))

    def invocation_list(self, address: int, found: Type) -> tuple[int, int] | None:
        """(address of the first slot, number of delegates) of a multicast delegate; None for a single one.

        Raises Unreadable, Malformed or LimitExceeded (a count beyond the array).
        """
        array = self._pointer(address, found, "_invocationList")
        if not array:
            return None
        held = self._values.type_of(array)
        if not held.is_vector or held.element is None or held.element.name != "System.Object":
            return None  # keeps something else alive: a LoaderAllocator, a dynamic method's resolver
        count = self._pointer(address, found, "_invocationCount")
        length = self._memory.u32(array + _LENGTH_OFFSET)
        if count > length or count > LIMITS.invocation_list:
            raise LimitExceeded(f"delegate {address:#x} claims {count} targets in a list of {length}")
        return array + _DATA_OFFSET, count

    def single(self, address: int, found: Type) -> SingleDelegate:
        """Target and code of a delegate that is no multicast one. Raises Unreadable or Malformed."""
        target = self._pointer(address, found, "_target")
        auxiliary = self._pointer(address, found, "_methodPtrAux")
        if auxiliary and (target == address or not target):
            count = self._pointer(address, found, "_invocationCount")
            return SingleDelegate(address, None, auxiliary, count if count not in (0, _UNMANAGED) else None)
        return SingleDelegate(address, target or None, self._pointer(address, found, "_methodPtr"))

    def singles(self, address: int, found: Type, limit: int | None = None) -> Iterator[SingleDelegate]:
        """The delegates of an invocation list in order, or the delegate itself. Raises as its parts do."""
        listed = self.invocation_list(address, found)
        if listed is None:
            yield self.single(address, found)
            return
        start, count = listed
        for index in range(count if limit is None else min(count, limit)):
            inner = self._memory.pointer(start + 8 * index)
            if inner:
                yield self.single(inner, self._values.type_of(inner))

    def count(self, address: int, found: Type) -> int:
        """Number of targets, 1 for a single delegate."""
        listed = self.invocation_list(address, found)
        return 1 if listed is None else listed[1]

    def targets(self, address: int, found: Type, limit: int) -> tuple[DelegateTarget, ...]:
        """At most `limit` targets with their methods, as results show them. A method that is not known is given by its code address."""
        rows = []
        for one in self.singles(address, found, limit):
            target = None if one.target is None else self._values.reference(one.target)
            name = self._method_name(one)
            method = f"<code at {one.code:#x}>" if name is None else name
            rows.append(DelegateTarget(None if isinstance(target, Absence) else target, method))
        return tuple(rows)
