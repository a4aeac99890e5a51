"""Collections in one array or a chain of nodes: lists, queues, stacks, linked lists, and their concurrent kin.

Fields: System.Collections.Generic, System.Collections.Concurrent and System.Collections.Immutable of 6.0 to 10.0.
"""

from collections.abc import Iterator

from heaphound.errors import Malformed
from heaphound.runtime.container_view import Collection, Item, View, bounded, element, element_view, nothing


def list_items(view: View) -> Collection | None:
    """List<T>, ArrayList: `_items`, `_size` and `_version`."""
    if not view.has("_items", "_size", "_version") or not view.holds_array("_items"):
        return None
    return _in_array(view, "list", "_items", view.integer("_size"))


def queue_items(view: View) -> Collection | None:
    """Queue<T>, Queue: a ring in `_array` from `_head`, `_size` long."""
    if not view.has("_array", "_head", "_tail", "_size") or not view.holds_array("_array"):
        return None
    shape = view.array("_array")
    if shape is None:
        return Collection("queue", 0, nothing)
    size, head = bounded(view.integer("_size"), shape.length, view), view.integer("_head")
    values = view.values
    return Collection("queue", size, lambda: ((None, element(values, shape, (head + i) % shape.length)) for i in range(size)))


def stack_items(view: View) -> Collection | None:
    """Stack<T>, Stack: the top is at the end of `_array`."""
    if not view.has("_array", "_size", "_version") or view.has("_head") or not view.holds_array("_array"):
        return None
    shape = view.array("_array")
    if shape is None:
        return Collection("stack", 0, nothing)
    size, values = bounded(view.integer("_size"), shape.length, view), view.values
    return Collection("stack", size, lambda: ((None, element(values, shape, size - 1 - i)) for i in range(size)))


def linked_list_items(view: View) -> Collection | None:
    """LinkedList<T>: a ring of nodes from `head`."""
    if not view.has("head", "count", "version"):
        return None
    count = view.integer("count")

    def items() -> Iterator[Item]:
        node = view.object("head")
        for _ in range(count):
            if node is None:
                raise Malformed(f"the linked list at {view.address:#x} ends before its {count} nodes")
            yield None, node.value("item")
            node = node.object("next")

    return Collection("linked list", count, items)


def concurrent_queue_items(view: View) -> Collection | None:
    """ConcurrentQueue<T>: segments from `_head` to `_tail`, each a ring of slots with sequence numbers."""
    if not view.has("_head", "_tail", "_crossSegmentLock"):
        return None
    segments = list(_segments(view))
    count = sum(end - start for _, start, end in segments)

    def items() -> Iterator[Item]:
        for segment, start, end in segments:
            slots = segment.array("_slots")
            if slots is None:
                raise Malformed(f"a segment of the queue at {view.address:#x} has no slots")
            for index in range(start, end):
                yield None, element_view(view.values, slots, index % slots.length).value("Item")

    return Collection("queue", count, items)


def _segments(view: View) -> Iterator[tuple[View, int, int]]:
    """(segment, first index, end index) of each segment. A frozen one has its tail moved by twice its length."""
    segment, seen = view.object("_head"), set[int]()
    while segment is not None:
        if segment.address in seen:
            raise Malformed(f"the segments of the queue at {view.address:#x} form a loop")
        seen.add(segment.address)
        slots, ends = segment.array("_slots"), segment.struct("_headAndTail")
        length = slots.length if slots is not None else 0
        head, tail = ends.integer("Head"), ends.integer("Tail")
        if segment.integer("_frozenForEnqueues"):
            tail -= 2 * length
        yield segment, head, head + bounded((tail - head) & 0xFFFFFFFF, length, view)
        segment = segment.object("_nextSegment")


def concurrent_stack_items(view: View) -> Collection | None:
    """ConcurrentStack<T>: nodes from `_head`; they have to be counted one by one."""
    if not view.has("_head") or view.has("_tail") or not view.field("_head").type_name.endswith("+Node"):
        return None
    nodes: list[View] = []
    node, seen = view.object("_head"), set[int]()
    while node is not None and node.has("_value", "_next"):
        if node.address in seen:
            raise Malformed(f"the nodes of the stack at {view.address:#x} form a loop")
        seen.add(node.address)
        nodes.append(node)
        node = node.object("_next")
    return Collection("stack", len(nodes), lambda: ((None, item.value("_value")) for item in nodes))


def concurrent_bag_items(view: View) -> Collection | None:
    """ConcurrentBag<T>: one ring per thread, `_workStealingQueues` chained."""
    if not view.has("_workStealingQueues", "_locals"):
        return None
    queues: list[View] = []
    queue, seen = view.object("_workStealingQueues"), set[int]()
    while queue is not None:
        if queue.address in seen:
            raise Malformed(f"the queues of the bag at {view.address:#x} form a loop")
        seen.add(queue.address)
        queues.append(queue)
        queue = queue.object("_nextQueue")

    def items() -> Iterator[Item]:
        for one in queues:
            shape, head, tail = one.array("_array"), one.integer("_headIndex"), one.integer("_tailIndex")
            for index in range(head, tail):
                if shape is not None:
                    yield None, element(view.values, shape, index & one.integer("_mask"))

    count = sum(max(0, one.integer("_tailIndex") - one.integer("_headIndex")) for one in queues)
    return Collection("bag", count, items)


def immutable_array_items(view: View) -> Collection | None:
    """ImmutableArray<T> (boxed): `array`, null for the default value."""
    if not view.has("array") or not view.holds_array("array"):
        return None
    shape = view.array("array")
    return _in_array(view, "immutable array", "array", 0 if shape is None else shape.length)


def priority_queue_items(view: View) -> Collection | None:
    """PriorityQueue<TElement, TPriority>: a heap of (element, priority) in `_nodes`; the key shown is the priority."""
    if not view.has("_nodes", "_size") or not view.holds_array("_nodes"):
        return None
    shape = view.array("_nodes")
    if shape is None:
        return Collection("priority queue", 0, nothing)
    size = bounded(view.integer("_size"), shape.length, view)

    def items() -> Iterator[Item]:
        for index in range(size):
            node = element_view(view.values, shape, index)
            yield node.value("Item2"), node.value("Item1")

    return Collection("priority queue", size, items)


def _in_array(view: View, kind: str, name: str, size: int) -> Collection:
    shape = view.array(name)
    if shape is None:
        return Collection(kind, bounded(size, 0, view), nothing)
    count, values = bounded(size, shape.length, view), view.values
    return Collection(kind, count, lambda: ((None, element(values, shape, index)) for index in range(count)))
