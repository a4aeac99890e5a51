"""Collections kept as binary trees: SortedSet, SortedDictionary, and the immutable list, dictionary, set and their sorted forms.

Walked in order without recursion; a tree deeper than any real one, or with a loop, is Malformed.
"""

from collections.abc import Iterator

from heaphound.errors import Malformed
from heaphound.runtime.container_view import Collection, Item, View

_PAIR = "System.Collections.Generic.KeyValuePair<"
_DEEPEST = 256  # balanced trees of 2^64 nodes stay below 130


def sorted_set_items(view: View) -> Collection | None:
    """SortedSet<T>: `root` and `count`; the TreeSet of a SortedDictionary holds key-value pairs."""
    if not view.has("root", "count", "comparer"):
        return None
    count = view.integer("count")

    def items() -> Iterator[Item]:
        for node in _in_order(view, view.pointer("root"), "<Left>k__BackingField", "<Right>k__BackingField"):
            yield _pair(node, node.first("<Item>k__BackingField", "Item"))

    return Collection("sorted set", count, items)


def sorted_dictionary_items(view: View) -> Collection | None:
    """SortedDictionary<K, V>: a TreeSet of pairs in `_set`."""
    inner = view.object("_set") if view.has("_set") else None
    found = None if inner is None else sorted_set_items(inner)
    return None if found is None else Collection("sorted dictionary", found.count, found.items)


def immutable_list_items(view: View) -> Collection | None:
    """ImmutableList<T>: nodes with `_key`, and a count in the root."""
    root = view.object("_root") if view.has("_root") else None
    if root is None or not root.has("_key", "_left", "_right", "_count") or view.has("_comparer"):
        return None
    count = root.integer("_count")

    def items() -> Iterator[Item]:
        for node in _in_order(view, root.address, "_left", "_right"):
            yield None, node.value("_key")

    return Collection("immutable list", count, items)


def immutable_hash_items(view: View) -> Collection | None:
    """ImmutableDictionary<K, V> and ImmutableHashSet<T>: a tree of hash buckets, each one item and a list of those that collide."""
    root = view.object("_root") if view.has("_root", "_count") else None
    if root is None or not root.has("_key", "_value", "_left", "_right") or root.field("_value").is_reference:
        return None
    bucket = root.struct("_value")
    if not bucket.has("_firstValue", "_additionalElements"):
        return None

    def items() -> Iterator[Item]:
        for node in _in_order(view, root.address, "_left", "_right"):
            here = node.struct("_value")
            yield _pair(here, "_firstValue")
            more = here.object("_additionalElements")
            if more is not None:
                for inner in _in_order(view, more.address, "_left", "_right"):
                    yield _pair(inner, "_key")

    keyed = bucket.field("_firstValue").type_name.startswith(_PAIR)
    return Collection("immutable dictionary" if keyed else "immutable set", view.integer("_count"), items)


def immutable_sorted_items(view: View) -> Collection | None:
    """ImmutableSortedDictionary<K, V> (`_key`, `_value`) and ImmutableSortedSet<T> (`_key`)."""
    root = view.object("_root") if view.has("_root") else None
    if root is None or not root.has("_key", "_left", "_right"):
        return None
    keyed = root.has("_value")
    nodes = list(_in_order(view, root.address, "_left", "_right"))

    def items() -> Iterator[Item]:
        for node in nodes:
            yield (node.value("_key"), node.value("_value")) if keyed else (None, node.value("_key"))

    return Collection("sorted dictionary" if keyed else "sorted set", len(nodes), items)


def _pair(node: View, name: str) -> Item:
    """A key-value pair as key and value, anything else as a value alone."""
    field = node.field(name)
    if not field.is_reference and field.type_name.startswith(_PAIR):
        pair = node.struct(name)
        return pair.value("key"), pair.value("value")
    return None, node.value(name)


def _in_order(view: View, root: int, left: str, right: str) -> Iterator[View]:
    """Nodes of a tree from the leftmost on. Empty immutable trees have one node without children, which holds nothing."""
    stack: list[View] = []
    address = root
    while address or stack:
        while address:
            if len(stack) > _DEEPEST:
                raise Malformed(f"the tree of the collection at {view.address:#x} is more than {_DEEPEST} deep")
            node = View.of_object(view.values, address)
            if node.has("_left", "_right") and node.has("_height") and not node.integer("_height"):
                address = 0  # the empty sentinel
                continue
            stack.append(node)
            address = node.pointer(left)
        if not stack:
            return
        node = stack.pop()
        yield node
        address = node.pointer(right)
