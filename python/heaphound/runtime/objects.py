"""One object looked at: header, fields with values, elements, delegate targets, items of a collection."""

from collections.abc import Callable
from typing import NamedTuple

from heaphound.address import Address
from heaphound.errors import Malformed, Unreadable
from heaphound.results.object import ArrayFacts, CollectionFacts, DelegateTarget, ElementRow, LockFacts, ObjectResult, Reference
from heaphound.runtime.arrays import array_elements, array_shape
from heaphound.runtime.containers import Containers
from heaphound.runtime.delegates import Delegates, MethodNamer, SingleDelegate
from heaphound.runtime.descriptions import Descriptions
from heaphound.runtime.edges import Edges
from heaphound.runtime.object_header import ObjectHeader, read_object_header
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.types import Type
from heaphound.runtime.typesystem import TypeSystem
from heaphound.runtime.values import OBJECT_HEADER_BYTES, Values

_SMALLEST_OBJECT_BYTES = 24  # MIN_OBJECT_SIZE of src/coreclr/vm/object.h, 64-bit


class _Elements(NamedTuple):
    rows: tuple[ElementRow, ...] | None
    left_out: int
    array: ArrayFacts | None
    collection: CollectionFacts | None


def _no_method(_delegate: SingleDelegate) -> str | None:
    return None


def _no_dependent(_handle: int) -> int | None:
    return None


def _lock(header: ObjectHeader) -> LockFacts | None:
    """The lock that a header names; of a sync block only its number, for who knows the sync blocks to complete."""
    if header.thin_lock_owner is not None:
        return LockFacts("thin", header.thin_lock_owner, header.thin_lock_recursion)
    if header.sync_block_index is not None:
        return LockFacts("sync block", None, 0, header.sync_block_index)
    return None


class Objects:
    """Reads objects of one dump. `values`, `edges`, `delegates`, `containers` are its parts, for callers that need one alone.

    `method_name` names the method that a delegate calls, `dependent` gives the secondary object of a dependent handle
    (ConditionalWeakTable); without them code addresses are shown, and weak tables without values. `strings` False hides texts.
    """

    def __init__(
        self,
        runtime: Runtime,
        typesystem: TypeSystem,
        *,
        method_name: MethodNamer = _no_method,
        dependent: Callable[[int], int | None] = _no_dependent,
        strings: bool = True,
    ) -> None:
        self._memory = runtime.memory
        self._layout = runtime.layout
        self.values = Values(typesystem, strings=strings)
        self.delegates = Delegates(self.values, method_name)
        self.containers = Containers(self.values, dependent)
        self.descriptions = Descriptions(self.values, strings=strings)
        self.edges = Edges(self.values)

    def type_of(self, address: int) -> Type:
        """Type of the object at `address`. Raises Unreadable, or Malformed when there is no object."""
        return self.values.type_of(address)

    def reference(self, address: int) -> Reference:
        """The object as others refer to it. Raises Unreadable or Malformed."""
        found = self.type_of(address)
        text, length = self.values.text_and_length(address, found)
        return Reference(Address(address), found.name, text, length)

    def size_bytes(self, address: int, found: Type) -> int:
        """Size of the object itself in bytes, header included, not rounded up to the heap's alignment of 8. Raises Unreadable."""
        if not found.component_size:
            return found.base_size
        count = self._memory.u32(address + self._layout.offset("Array", "m_NumComponents"))
        return max(found.base_size + found.component_size * count, _SMALLEST_OBJECT_BYTES)

    def header(self, address: int) -> ObjectHeader:
        """Hash code, sync block or thin lock in the object's header. Raises Unreadable."""
        return read_object_header(self._memory, self._layout, address)

    def read(self, address: int, *, limit: int = 100, start: int = 0) -> ObjectResult:
        """The object with its content: at most `limit` elements, items or delegate targets, array elements from `start` on.

        Who refers to it and what it retains are not for this layer. Raises Unreadable when the dump lacks the object or its type,
        Malformed when there is no object at that address; a field that cannot be read is an Absence in its place.
        """
        found = self.type_of(address)
        size_bytes, header = self.size_bytes(address, found), self._header(address)
        text, length = self._text(address, found)
        elements = self._elements(address, found, limit, start)
        targets, targets_left = self._targets(address, found, limit)
        return ObjectResult(
            address=Address(address),
            type=found.name,
            method_table=Address(found.method_table),
            size_bytes=size_bytes,
            fields=() if found.is_array or found.is_string else self.values.fields(address + OBJECT_HEADER_BYTES, found.fields),
            elements=elements.rows,
            delegate=targets,
            array=elements.array,
            collection=elements.collection,
            text=text,
            length=length,
            module=None if found.module is None else found.module.path or found.module.name,
            elements_left_out=elements.left_out,
            delegate_left_out=targets_left,
            lock=_lock(header),
            hash_code=header.hash_code,
        )

    def _text(self, address: int, found: Type) -> tuple[str | None, int | None]:
        if found.is_string:
            return self.values.strings.text_and_length(address)
        text, length = self.values.text_and_length(address, found)
        return (self.descriptions.text(address, found) if text is None and not found.is_array else text), length

    def _elements(self, address: int, found: Type, limit: int, start: int) -> _Elements:
        if found.is_array:
            shape = array_shape(self.values, address, found)
            rows = tuple(array_elements(self.values, shape, start, start + limit))
            return _Elements(rows, max(0, shape.length - start - len(rows)), shape.facts, None)
        listed = self.containers.rows(address, found, limit)
        if listed is None:
            return _Elements(None, 0, None, None)
        facts, rows, left_out = listed
        return _Elements(rows, left_out, None, facts)

    def _targets(self, address: int, found: Type, limit: int) -> tuple[tuple[DelegateTarget, ...] | None, int]:
        if not found.is_delegate:
            return None, 0
        try:
            count = self.delegates.count(address, found)
            targets = self.delegates.targets(address, found, limit)
        except (Unreadable, Malformed):
            return None, 0  # its fields are shown all the same
        return targets, max(0, count - len(targets))

    def _header(self, address: int) -> ObjectHeader:
        """The header, or an empty one where the dump lacks it: the object is shown all the same."""
        try:
            return self.header(address)
        except Unreadable:
            return ObjectHeader(0)

    def edge_name(self, source: int, slot_offset: int) -> str | None:
        """See `Edges.edge_name`."""
        return self.edges.edge_name(source, slot_offset)

    def edge_names(self, source: int, target: int, limit: int = 16) -> list[str]:
        """See `Edges.edge_names`."""
        return self.edges.edge_names(source, target, limit)
