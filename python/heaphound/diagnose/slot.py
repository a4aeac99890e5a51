"""Which field keeps the collection in which things pile up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heaphound.diagnose.holding import Held
from heaphound.diagnose.subject import Subject
from heaphound.errors import Malformed, Unreadable
from heaphound.runtime.framework import is_collection_part, is_framework


@dataclass(frozen=True, slots=True)
class Slot:
    """The field in which a collection is kept: of a class (static, `owner_index` None) or of an object in the path.

    `collection_index` is what the field leads to; `count` its items, or those of the innermost one where collections hold collections.
    """

    type_name: str
    definition: str
    field: str
    owner_index: int | None
    collection_index: int
    count: int


def find_slot(subject: Subject, held: Held, path: Sequence[int]) -> Slot | None:
    """The field that leads to the last collection of a path, where the bytes are; None where no field of an object or class does.

    A collection inside another collection (its owner is an array, a node) is told by the field of the outer one. What a type of .NET keeps
    inside (a cache of Microsoft.Extensions, say) is told by the program's own field that leads there, if no other collection is between.
    """
    count = 0
    slot: Slot | None = None
    for position in range(len(path) - 1, -1, -1):
        items = item_count(subject, path[position])
        if items is None:
            continue
        count = count or items
        found = _field_before(subject, held, path, position, count)
        if found is None:
            continue
        if not is_framework(found.type_name):
            return found
        slot = _of_program(subject, held, path, position, count) or found
        break
    return slot


def item_count(subject: Subject, index: int) -> int | None:
    """Items of an object that is a collection; None for others, and for one that cannot be read whole: it is shown by its fields."""
    try:
        found = subject.containers.recognise(subject.address_of(index), subject.type_of(index))
    except (Unreadable, Malformed):
        return None
    return None if found is None else found.count


def _of_program(subject: Subject, held: Held, path: Sequence[int], position: int, count: int) -> Slot | None:
    """The first field of the program's own types on the way back from a collection, up to the next collection."""
    for before in range(position - 1, -1, -1):
        if subject.type_of(path[before]).is_array or not _is_wrapper(subject, path[before], count):
            return None
        found = _field_before(subject, held, path, before, count)
        if found is not None and not is_framework(found.type_name):
            return found
    return None


def _is_wrapper(subject: Subject, index: int, count: int) -> bool:
    """Whether an object is no collection, or one of .NET that keeps the same items in another (SortedDictionary in its TreeSet)."""
    items = item_count(subject, index)
    return items is None or (items == count and is_framework(subject.type_of(index).name))


def find_field(subject: Subject, held: Held, path: Sequence[int]) -> Slot | None:
    """The last field of the program's own types on a path, whatever it leads to (the head of a chain, an array, a stream)."""
    for position in range(len(path) - 1, -1, -1):
        found = _field_before(subject, held, path, position, 0)
        if found is not None and not is_framework(found.type_name):
            return found
    return None


def _field_before(subject: Subject, held: Held, path: Sequence[int], position: int, count: int) -> Slot | None:
    """The field that leads to an object of the path; None where an array, a closure's frame or no field at all does."""
    if position == 0:
        static = None if held.root is None else held.root.static
        if static is None:
            return None
        return Slot(
            static.declaring_type, subject.types.type(static.method_table).definition_name, static.field, None, path[position], count
        )
    owner = subject.type_of(path[position - 1])
    if owner.is_array or is_collection_part(owner.name):
        return None
    name = subject.edge(subject.address_of(path[position - 1]), subject.address_of(path[position])).split(".")[0]
    declaring = next((field.declaring_type for field in owner.fields if field.name == name), None)
    return None if declaring is None else Slot(owner.name, declaring.definition_name, name, path[position - 1], path[position], count)


def reference_path(subject: Subject, chain: Sequence[int]) -> Iterator[int]:
    """Dominators from the outermost in, with the objects between: each of the result refers to the next."""
    yield from chain[:1]
    for owner, owned in pairwise(chain):
        yield from subject.graph.path_between(owner, owned)[1:]
