"""Hash tables: dictionaries, sets, Hashtable, ConcurrentDictionary, ConditionalWeakTable, frozen collections.

Fields: System.Private.CoreLib and System.Collections.* of 6.0 to 10.0.
"""

from collections.abc import Callable, Iterator

from heaphound.errors import Malformed
from heaphound.runtime.arrays import ArrayShape
from heaphound.runtime.container_view import Collection, Item, View, bounded, element, element_view, nothing

_FREE = -1  # entries of a free list have `next` below: StartOfFreeList is -3


def dictionary_items(view: View) -> Collection | None:
    """Dictionary<K, V>, HashSet<T>: `_count` entries in `_entries`, of which `_freeCount` are on the free list."""
    if not view.has("_entries", "_count", "_freeCount", "_buckets") or not view.holds_array("_entries"):
        return None
    shape = view.array("_entries")
    if shape is None:
        return Collection("dictionary", 0, nothing)
    used = bounded(view.integer("_count"), shape.length, view)
    count = bounded(used - view.integer("_freeCount"), used, view)
    is_set = shape.length > 0 and not element_view(view.values, shape, 0).has("key")
    return Collection("set" if is_set else "dictionary", count, lambda: _entries(view, shape, used, is_set))


def _entries(view: View, shape: ArrayShape, used: int, is_set: bool) -> Iterator[Item]:
    for index in range(used):
        entry = element_view(view.values, shape, index)
        if entry.integer(entry.first("next", "Next")) < _FREE:
            continue
        yield (None, entry.value(entry.first("Value", "value"))) if is_set else (entry.value("key"), entry.value("value"))


def hashtable_items(view: View) -> Collection | None:
    """Hashtable: `_buckets` of {key, val, hash_coll}; a removed one has the table of buckets itself as key.

    A synchronized one derives from it and keeps everything in another, `_table`.
    """
    inner = view.object("_table") if view.has("_buckets", "_loadsize", "_table") else None
    if inner is not None and inner.has("_buckets", "_loadsize") and not inner.has("_table"):
        return hashtable_items(inner)
    if not view.has("_buckets", "_count", "_loadsize") or not view.holds_array("_buckets"):
        return None
    shape = view.array("_buckets")
    if shape is None:
        return Collection("dictionary", 0, nothing)
    removed = view.pointer("_buckets")

    def items() -> Iterator[Item]:
        for index in range(shape.length):
            bucket = element_view(view.values, shape, index)
            if bucket.pointer("key") not in (0, removed):
                yield bucket.value("key"), bucket.value("val")

    return Collection("dictionary", bounded(view.integer("_count"), shape.length, view), items)


def concurrent_dictionary_items(view: View) -> Collection | None:
    """ConcurrentDictionary<K, V>: `_tables` with `_buckets` of node chains (since 8 wrapped as VolatileNode) and counts per lock."""
    tables = view.object("_tables") if view.has("_tables") else None
    if tables is None or not tables.has("_buckets", "_countPerLock"):
        return None
    counts, buckets = tables.array("_countPerLock"), tables.array("_buckets")
    if counts is None or buckets is None:
        raise Malformed(f"the dictionary at {view.address:#x} has no buckets")
    per_lock = [element(view.values, counts, index) for index in range(counts.length)]
    count = sum(part for part in per_lock if isinstance(part, int))
    return Collection("dictionary", count, lambda: _node_chains(view, buckets))


def _node_chains(view: View, buckets: ArrayShape) -> Iterator[Item]:
    for index in range(buckets.length):
        slot = buckets.data + index * buckets.stride
        if not buckets.element.is_reference:
            slot = element_view(view.values, buckets, index).slot("_node")
        address, seen = view.values.memory.pointer(slot), set[int]()
        while address:
            if address in seen:
                raise Malformed(f"a bucket of the dictionary at {view.address:#x} is a loop")
            seen.add(address)
            node = View.of_object(view.values, address)
            yield node.value("_key"), node.value("_value")
            address = node.pointer("_next")


def frozen_items(view: View) -> Collection | None:
    """FrozenDictionary<K, V> kept in two arrays in step, `_keys` and `_values`."""
    if not view.has("_keys", "_values") or not view.holds_array("_keys") or not view.holds_array("_values"):
        return None
    keys, values = view.array("_keys"), view.array("_values")
    if keys is None or values is None:
        return None
    count, reader = bounded(keys.length, values.length, view), view.values
    return Collection("dictionary", count, lambda: ((element(reader, keys, i), element(reader, values, i)) for i in range(count)))


def sorted_list_items(view: View) -> Collection | None:
    """SortedList<K, V>: two arrays in step."""
    if not view.has("keys", "values", "_size") or not view.holds_array("keys") or not view.holds_array("values"):
        return None
    keys, values = view.array("keys"), view.array("values")
    if keys is None or values is None:
        return Collection("dictionary", 0, nothing)
    count, reader = bounded(view.integer("_size"), min(keys.length, values.length), view), view.values
    return Collection("dictionary", count, lambda: ((element(reader, keys, i), element(reader, values, i)) for i in range(count)))


def weak_table_items(view: View, secondary: Callable[[int], int | None]) -> Collection | None:
    """ConditionalWeakTable<K, V>: dependent handles in `_container._entries`; `secondary` gives the value object of a handle's address."""
    container = view.object("_container") if view.has("_container") else None
    if container is None or not container.has("_entries", "_firstFreeEntry"):
        return None
    shape = container.array("_entries")
    if shape is None:
        return Collection("weak table", 0, nothing)
    pairs: list[tuple[int, int]] = []
    for index in range(bounded(container.integer("_firstFreeEntry"), shape.length, view)):
        handle = _dependent_handle(element_view(view.values, shape, index))
        key = view.values.memory.pointer(handle) if handle else 0
        if key:
            pairs.append((key, secondary(handle) or 0))
    reference = view.values.reference
    return Collection("weak table", len(pairs), lambda: ((reference(key), reference(value)) for key, value in pairs))


def _dependent_handle(entry: View) -> int:
    if entry.integer("HashCode") == -1:
        return 0  # removed: the handle stays until the container is replaced
    return entry.struct("depHnd").pointer("_handle")
