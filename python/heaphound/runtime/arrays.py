"""Arrays: shape and elements.

Layout (src/coreclr/vm/object.h, ArrayBase): MethodTable, length; for all but vectors then the length and lower bound of each dimension as
i32; then the elements in row-major order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from heaphound.errors import Malformed
from heaphound.results.object import ArrayFacts, ElementRow
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.types import Type
from heaphound.runtime.values import Values

_LENGTH_OFFSET = 8
_DATA_OFFSET = 16
_BOUND_BYTES = 4


@dataclass(frozen=True, slots=True)
class ArrayShape:
    """Where an array's elements are: `length` of them, `stride` bytes apart, from the address `data`."""

    length: int
    lengths: tuple[int, ...]
    lower_bounds: tuple[int, ...]
    data: int
    stride: int
    element: ResolvedType

    @property
    def facts(self) -> ArrayFacts:
        """The shape as results show it."""
        return ArrayFacts(self.element.name, self.lengths, self.lower_bounds)

    def name_of(self, index: int) -> str:
        """An element as C# writes it: `[5]`, `[1,2]` with lower bounds added."""
        if len(self.lengths) == 1:
            return f"[{index + self.lower_bounds[0]}]"
        parts = []
        for length, lower in zip(reversed(self.lengths), reversed(self.lower_bounds), strict=True):
            parts.append(str(index % length + lower) if length else str(lower))
            index = index // length if length else 0
        return f"[{','.join(reversed(parts))}]"


def array_shape(values: Values, address: int, found: Type) -> ArrayShape:
    """Shape of the array at `address`. Raises Malformed for a type that is none, or lengths that contradict the total; Unreadable."""
    element = found.element
    if element is None:
        raise Malformed(f"{found.name} is no array type")
    memory = values.memory
    length = memory.u32(address + _LENGTH_OFFSET)
    if found.is_vector:
        return ArrayShape(length, (length,), (0,), address + _DATA_OFFSET, found.component_size, element)
    bounds = address + _DATA_OFFSET
    lengths = tuple(memory.i32(bounds + _BOUND_BYTES * dimension) for dimension in range(found.rank))
    lowers = tuple(memory.i32(bounds + _BOUND_BYTES * (found.rank + dimension)) for dimension in range(found.rank))
    total = 1
    for part in lengths:
        total *= part
    if total != length or any(part < 0 for part in lengths):
        raise Malformed(f"array {address:#x} has {length} elements and dimensions {lengths}")
    return ArrayShape(length, lengths, lowers, bounds + 2 * _BOUND_BYTES * found.rank, found.component_size, element)


def array_elements(values: Values, shape: ArrayShape, start: int = 0, stop: int | None = None) -> Iterator[ElementRow]:
    """Elements `start` to `stop` (default the end), by their place in memory; what cannot be read is an Absence in its place."""
    for index in range(start, min(shape.length, shape.length if stop is None else stop)):
        yield ElementRow(index, values.value(shape.data + index * shape.stride, shape.element))
