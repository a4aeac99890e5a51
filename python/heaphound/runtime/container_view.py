"""An object or value seen as named fields: what the recognition of collections works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from heaphound.errors import Malformed
from heaphound.results.object import Value
from heaphound.runtime.arrays import ArrayShape, array_shape
from heaphound.runtime.fields import Field, value_fields
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES, Values

Item = tuple[Value, Value]
"""(key, value); the key is None for collections without keys."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A recognised collection. `items` reads them lazily, in the order in which its own enumerator would give them.

    Reading raises Unreadable or Malformed when its structure breaks off.
    """

    kind: str
    count: int
    items: Callable[[], Iterator[Item]]


class View:
    """Fields by name of what starts at `start` (the address of field offset 0)."""

    def __init__(self, values: Values, address: int, start: int, fields: tuple[Field, ...]) -> None:
        self.values = values
        self.address = address
        self._start = start
        self._fields = {field.name: field for field in fields}

    @staticmethod
    def of_object(values: Values, address: int, found: Type | None = None) -> View:
        """The object at `address`. Raises Unreadable or Malformed."""
        kind = values.type_of(address) if found is None else found
        return View(values, address, address + OBJECT_HEADER_BYTES, kind.fields)

    @staticmethod
    def of_value(values: Values, address: int, kind: ResolvedType) -> View:
        """The value of a value type at `address`; for a reference type the object that the slot refers to. Raises Malformed for null."""
        if not kind.is_reference:
            return View(values, address, address, value_fields(kind))
        target = values.memory.pointer(address)
        if not target:
            raise Malformed(f"the slot at {address:#x} is null")
        return View.of_object(values, target)

    def has(self, *names: str) -> bool:
        """Whether all of these fields are there."""
        return all(name in self._fields for name in names)

    def first(self, *names: str) -> str:
        """The first of these names that is a field (names change between versions). Raises Malformed when none is."""
        for name in names:
            if name in self._fields:
                return name
        raise Malformed(f"the object at {self.address:#x} has none of the fields {', '.join(names)}")

    def field(self, name: str) -> Field:
        """A field. Raises Malformed when there is none of that name."""
        return self._fields[self.first(name)]

    def slot(self, name: str) -> int:
        """Address of a field. Raises Malformed."""
        offset = self.field(name).offset
        if offset is None:
            raise Malformed(f"field {name} of {self.address:#x} has no place")
        return self._start + offset

    def value(self, name: str) -> Value:
        """Value of a field."""
        return self.values.field(self._start, self.field(name))

    def integer(self, name: str) -> int:
        """An integral field. Raises Malformed for another kind, Unreadable."""
        value = self.value(name)
        if not isinstance(value, int):
            raise Malformed(f"field {name} of {self.address:#x} is no integer")
        return value

    def pointer(self, name: str) -> int:
        """Address in a reference field, 0 for null. Raises Unreadable."""
        return self.values.memory.pointer(self.slot(name))

    def object(self, name: str) -> View | None:
        """The object that a field refers to; None for null. Raises Unreadable or Malformed."""
        target = self.pointer(name)
        return View.of_object(self.values, target) if target else None

    def struct(self, name: str) -> View:
        """A field of a value type. Raises Malformed."""
        return View.of_value(self.values, self.slot(name), self.field(name).type)

    def array(self, name: str) -> ArrayShape | None:
        """The array that a field refers to; None for null. Raises Malformed when it is no array."""
        target = self.pointer(name) if self.field(name).is_reference else 0
        return array_shape(self.values, target, self.values.type_of(target)) if target else None

    def holds_array(self, name: str) -> bool:
        """Whether a field is there and refers to a vector or null."""
        if name not in self._fields or not self._fields[name].is_reference:
            return False
        target = self.pointer(name)
        return not target or self.values.type_of(target).is_vector


def element(values: Values, shape: ArrayShape, index: int) -> Value:
    """Value of one element."""
    return values.value(shape.data + index * shape.stride, shape.element)


def element_view(values: Values, shape: ArrayShape, index: int) -> View:
    """One element as fields. Raises Malformed for null, Unreadable."""
    return View.of_value(values, shape.data + index * shape.stride, shape.element)


def nothing() -> Iterator[Item]:
    """The items of an empty collection."""
    return iter(())


def bounded(count: int, room: int, view: View) -> int:
    """A count that its array must have room for. Raises Malformed."""
    if not 0 <= count <= room:
        raise Malformed(f"the collection at {view.address:#x} claims {count} items in {room} places")
    return count
