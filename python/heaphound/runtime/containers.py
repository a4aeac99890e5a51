"""Collections shown as what they hold. Recognised by their fields, not by version or exact type: derived and copied types count too."""

from collections.abc import Callable

from heaphound.errors import Malformed, Unreadable
from heaphound.results.object import Absence, CollectionFacts, ElementRow
from heaphound.runtime.container_hashes import (
    concurrent_dictionary_items,
    dictionary_items,
    frozen_items,
    hashtable_items,
    sorted_list_items,
    weak_table_items,
)
from heaphound.runtime.container_sequences import (
    concurrent_bag_items,
    concurrent_queue_items,
    concurrent_stack_items,
    immutable_array_items,
    linked_list_items,
    list_items,
    priority_queue_items,
    queue_items,
    stack_items,
)
from heaphound.runtime.container_trees import (
    immutable_hash_items,
    immutable_list_items,
    immutable_sorted_items,
    sorted_dictionary_items,
    sorted_set_items,
)
from heaphound.runtime.container_view import Collection, View
from heaphound.runtime.types import Type
from heaphound.runtime.values import Values

Recogniser = Callable[[View], Collection | None]

RECOGNISERS: list[Recogniser] = [
    list_items,
    dictionary_items,
    queue_items,
    stack_items,
    concurrent_dictionary_items,
    concurrent_queue_items,
    concurrent_bag_items,
    linked_list_items,
    sorted_set_items,
    sorted_dictionary_items,
    sorted_list_items,
    hashtable_items,
    priority_queue_items,
    immutable_list_items,
    immutable_hash_items,
    immutable_sorted_items,
]
"""Tried in order; the first that recognises the fields wins."""

FRAMEWORK_RECOGNISERS: list[Recogniser] = [immutable_array_items, frozen_items, concurrent_stack_items]
"""Tried after those for types of the framework's collection namespaces (or derived from one): their fields alone would say too little."""

_NAMESPACES = ("System.Collections.", "System.Runtime.CompilerServices.ConditionalWeakTable<")
_WRAPPED = ("list", "items", "_list", "m_dictionary", "_dictionary")  # ReadOnlyCollection, Collection, ReadOnlyDictionary ...
_DEEPEST_WRAPPER = 4


class Containers:
    """Recognises collections of one dump.

    `dependent` gives the secondary object of a dependent handle by the handle's address, None where it has none; it serves
    ConditionalWeakTable.
    """

    def __init__(self, values: Values, dependent: Callable[[int], int | None]) -> None:
        self._values = values
        self._dependent = dependent

    def recognise(self, address: int, found: Type) -> Collection | None:
        """The collection at `address`; None for objects that are none. Raises Unreadable or Malformed where its structure is broken."""
        if found.is_array or found.is_string or found.is_free:
            return None
        view = View.of_object(self._values, address, found)
        framework = _is_framework_collection(found)
        recognisers: list[Recogniser] = RECOGNISERS + FRAMEWORK_RECOGNISERS if framework else RECOGNISERS
        for _ in range(_DEEPEST_WRAPPER):
            for recogniser in recognisers:
                collection = recogniser(view)
                if collection is not None:
                    return collection
            collection = weak_table_items(view, self._dependent)
            if collection is not None or not framework or view.has("next"):
                return collection  # a node of a LinkedList has its list in `list`, and is none
            inner = next((view.object(name) for name in _WRAPPED if view.has(name) and view.field(name).is_reference), None)
            if inner is None:
                return None
            view = inner
        return None

    def rows(self, address: int, found: Type, limit: int) -> tuple[CollectionFacts, tuple[ElementRow, ...], int] | None:
        """(facts, at most `limit` items, how many were left out); None for objects that are no collection.

        A structure that breaks off ends the items with an Absence that says why.
        """
        try:
            collection = self.recognise(address, found)
        except (Unreadable, Malformed):
            return None  # its fields are shown all the same, and say what is wrong
        if collection is None:
            return None
        rows: list[ElementRow] = []
        try:
            for index, (key, value) in enumerate(collection.items()):
                if index >= limit:
                    break
                rows.append(ElementRow(index, value, key))
        except Unreadable as error:
            rows.append(ElementRow(len(rows), Absence("unreadable", str(error))))
        except Malformed as error:
            rows.append(ElementRow(len(rows), Absence("malformed", str(error))))
        return CollectionFacts(collection.kind, collection.count), tuple(rows), max(0, collection.count - len(rows))


def _is_framework_collection(found: Type) -> bool:
    return any(one.name.startswith(_NAMESPACES) for one in (found, *found.bases()))
