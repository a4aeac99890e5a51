"""The collections that hold many alike objects together, where none of them alone keeps these alive: an index by id and one by name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.holding import Held, best_root, held_by
from heaphound.diagnose.slot import Slot, find_field, find_slot, item_count
from heaphound.diagnose.subject import Subject
from heaphound.runtime.framework import is_framework

SAMPLED = 16
DEEPEST = 8
OBJECTS_CLIMBED = 200  # for each sampled object
HOLDERS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Objects of one type that roots reach by more than one way, so that nothing but the roots dominates them."""

    method_table: int
    indices: NDArray[np.uint32]
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class Gathering:
    """A field that holds most objects of a group, and how the collection in it is reached."""

    slot: Slot
    held: Held


def shared_groups(subject: Subject, minimum_bytes: int) -> Iterator[Group]:
    """Groups below the virtual root that are no roots themselves, largest first."""
    graph = subject.graph
    top = np.array(graph.owned(None, graph.owned_count(None)), dtype=np.uint32)
    top = top[~np.isin(top, np.concatenate((graph.exact_roots, graph.conservative_roots)))]
    kinds = graph.table.types_of(top)
    order = np.argsort(kinds, kind="stable")
    top = top[order]
    found = []
    for kind, first, count in zip(*np.unique(kinds[order], return_index=True, return_counts=True), strict=True):
        members = top[first : first + count]
        retained = int(graph.dominators.retained_of_many(members).sum())
        if retained >= minimum_bytes:
            found.append(Group(int(graph.table.method_tables[kind]), members, retained))
    # equals in the order of their names: the first speaks for all, and has the same fingerprint in each dump
    yield from sorted(found, key=lambda group: (-group.retained_bytes, subject.types.type(group.method_table).name))


def gatherings(subject: Subject, members: Sequence[int], inside: int | None = None) -> list[Gathering]:
    """The fields whose collections lead to most of the given objects, in the order of their names.

    `inside`: look only at what this object dominates. Objects are sampled, so a collection that holds only some of them can be missed.
    """
    sample = members[:: max(1, len(members) // SAMPLED)][:SAMPLED]
    tally = Counter(found for index in sample for found in _climb(subject, index, inside))
    slots: dict[tuple[str, str], Gathering] = {}
    for index, hits in tally.most_common():
        if 2 * hits < len(sample):
            break
        held = held_by(subject, index)
        slot = find_slot(subject, held, held.path) or find_field(subject, held, held.path)
        if slot is not None:
            slots.setdefault((slot.type_name, slot.field), Gathering(slot, held))
    own = [found for found in slots.values() if not is_framework(found.slot.type_name)]
    # in the order of their names: the same leak has the same fingerprint in each dump
    return sorted((own or list(slots.values()))[:HOLDERS_NAMED], key=lambda found: (found.slot.type_name, found.slot.field))


def _climb(subject: Subject, index: int, inside: int | None) -> set[int]:
    """Collections, and objects in static fields, from which references lead to the object without another collection between."""
    found: set[int] = set()
    seen, level = {index}, [index]
    for _ in range(DEEPEST):
        above = {referrer for one in level for referrer in subject.graph.graph.referrers(one, OBJECTS_CLIMBED).tolist()} - seen
        level = []
        for referrer in sorted(above)[: OBJECTS_CLIMBED - len(seen)]:
            seen.add(referrer)
            if inside is not None and (referrer == inside or not subject.graph.dominators.dominates(inside, referrer)):
                continue
            root = best_root(subject.roots, subject.address_of(referrer))
            if item_count(subject, referrer) is not None or (root is not None and root.static is not None):
                found.add(referrer)
            else:
                level.append(referrer)
        if not level:
            break
    return found
