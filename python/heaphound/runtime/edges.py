"""Names of references: which field, element or part of it a slot inside an object is."""

from collections.abc import Iterator

from heaphound.errors import Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.arrays import array_shape
from heaphound.runtime.element_types import ElementType
from heaphound.runtime.fields import Field, value_fields
from heaphound.runtime.generics import ResolvedType
from heaphound.runtime.inline_arrays import inline_array
from heaphound.runtime.types import Type
from heaphound.runtime.values import OBJECT_HEADER_BYTES, Values

_SLOT_BYTES = 8
_MOST_INLINE_ELEMENTS = 4_096  # named one by one; an inline array of more is a buffer, and its slots keep the array's name


class Edges:
    """Names slots of objects. The slots of a type are worked out once."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._slots: dict[int, dict[int, str]] = {}

    def edge_name(self, source: int, slot_offset: int) -> str | None:
        """Name of the reference slot at `slot_offset` bytes from the object's address: `Field`, `Field.Sub`, `[i]`, `[i].Field`.

        None where no field lies there (a collectible type's link to its LoaderAllocator is no field). Raises Unreadable or Malformed for
        an object that cannot be read.
        """
        found = self._values.type_of(source)
        if not found.is_array:
            return self._type_slots(found).get(slot_offset)
        shape = array_shape(self._values, source, found)
        index, inside = divmod(source + slot_offset - shape.data, shape.stride) if shape.stride else (-1, 0)
        if not 0 <= index < shape.length:
            return None
        if shape.element.is_reference:
            return shape.name_of(index) if inside == 0 else None
        part = self._value_slots(shape.element).get(inside)
        return None if part is None else shape.name_of(index) + _joined(part)

    def edge_names(self, source: int, target: int, limit: int = 16) -> list[str]:
        """Names of the slots of `source` that refer to `target`, in order of place, at most `limit`. Raises Unreadable or Malformed.

        Cost: reads all of the source: a search for the target's address in it.
        """
        names: list[str] = []
        for offset in self._slots_with(source, target):
            name = self.edge_name(source, offset)
            if name is not None:
                names.append(name)
            if len(names) >= limit:
                break
        return names

    def _slots_with(self, source: int, target: int) -> Iterator[int]:
        """Offsets of 8-aligned words of the object that hold `target`."""
        memory = self._values.memory
        found = self._values.type_of(source)
        end = found.base_size - OBJECT_HEADER_BYTES
        if found.is_array:
            shape = array_shape(self._values, source, found)
            end = shape.data + shape.length * shape.stride - source
        needle = target.to_bytes(8, "little")
        step = 1 << 20
        for start in range(OBJECT_HEADER_BYTES, end, step):
            piece = memory.bytes(source + start, min(step, end - start))
            at = piece.find(needle)
            while at >= 0:
                if at % _SLOT_BYTES == 0:
                    yield start + at
                at = piece.find(needle, at + 1)

    def _type_slots(self, found: Type) -> dict[int, str]:
        known = self._slots.get(found.method_table)
        if known is None:
            known = dict(_slots(found.fields, OBJECT_HEADER_BYTES, 0))
            self._slots[found.method_table] = known
        return known

    def _value_slots(self, kind: ResolvedType) -> dict[int, str]:
        """Slots inside an array element of a value type, from its start."""
        if kind.layout is None:
            return dict(_slots(value_fields(kind), 0, 0))
        key = -kind.layout.method_table
        known = self._slots.get(key)
        if known is None:
            known = self._slots[key] = dict(_value_slots(kind, 0, 0))
        return known


def _slots(fields: tuple[Field, ...], start: int, depth: int) -> Iterator[tuple[int, str]]:
    """(offset, name) of each reference slot in a set of instance fields."""
    if depth > LIMITS.struct_nesting:
        return
    for field in fields:
        if field.offset is None:
            continue
        if field.is_reference:
            yield start + field.offset, field.name
        elif field.element_type == ElementType.VALUE_TYPE:
            for offset, part in _value_slots(field.type, start + field.offset, depth + 1):
                yield offset, field.name + _joined(part)


def _value_slots(kind: ResolvedType, start: int, depth: int) -> Iterator[tuple[int, str]]:
    try:
        fields = value_fields(kind)
        repeated = inline_array(kind, fields)
    except (Unreadable, Malformed):
        return  # a slot without a name is shown by its offset
    if repeated is None:
        yield from _slots(fields, start, depth)
        return
    inside = [(offset, name.removeprefix(repeated.field.name)) for offset, name in _slots(fields, 0, depth)]
    for index in range(min(repeated.length, _MOST_INLINE_ELEMENTS)):
        for offset, rest in inside:
            yield start + index * repeated.stride + offset, f"[{index}]{rest}"


def _joined(part: str) -> str:
    return part if part.startswith("[") else f".{part}"
