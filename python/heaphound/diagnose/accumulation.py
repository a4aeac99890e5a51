"""Where memory accumulates: from a big owner down the dominator tree to the object whose content is many small things."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.diagnose.subject import Subject
from heaphound.runtime.framework import is_collection_part, is_framework

OWNERS = 32
SAMPLED_CHILDREN = 2000
SAMPLED_NODES = 200
CHILDREN_OF_NODE = 8  # key, value, and nodes of the same bucket
OWNERS_ABOVE = 8
DEEPEST = 64
LONGEST_TURN = 3
MANY = 100
MOST_OF = 0.6  # a child with this share of its owner's bytes leads on towards where they pile up


@dataclass(frozen=True, slots=True)
class Accumulation:
    """`chain` leads from the owner (held by roots) to the last object that still has most of the bytes; its content is many small things.

    `piled_type` and `piled_method_table` name what piles up there, `piled_count` how many of it (exact where the content is an array or
    a set of equals, else those that the owner holds in all; few, or one, where most of the bytes are theirs). `retained_bytes` are the
    owner's.
    """

    chain: tuple[int, ...]
    retained_bytes: int
    piled_type: str
    piled_method_table: int
    piled_count: int


def accumulations(subject: Subject, minimum_bytes: int) -> Iterator[Accumulation]:
    """The biggest owners at the top of the dominator tree, each followed down to where its bytes pile up, largest first."""
    for owner in subject.graph.owned(None, OWNERS):
        retained = subject.graph.retained_bytes(owner)
        if retained < minimum_bytes:
            return
        chain = _descend(subject, owner)
        kind, count = _piled(subject, chain[-1])
        if count:
            kind, count = program_type(subject, kind, count, subject.instances(kind))
        else:
            kind, count = _largest(subject, chain[-1])
        if count:
            yield Accumulation(tuple(chain), retained, subject.types.type(kind).name, kind, count)


def _descend(subject: Subject, owner: int) -> list[int]:
    chain = [owner]
    for _ in range(DEEPEST):
        largest = subject.graph.owned(chain[-1], 1)
        if not largest or subject.graph.retained_bytes(largest[0]) < MOST_OF * subject.graph.retained_bytes(chain[-1]):
            break
        chain.append(largest[0])
    return chain[: before_repetition([subject.type_of(index).method_table for index in chain])]


def before_repetition(kinds: Sequence[int]) -> int:
    """How many of a chain's objects, by their types, lead up to a list whose nodes own each other: its first node is where it is held.

    Nodes may be of up to three objects that take turns (a delegate and its closure); such a turn counts once it comes three times.
    """
    for start in range(len(kinds)):
        for period in range(1, LONGEST_TURN + 1):
            turns = 2 if period == 1 else 3
            seen = kinds[start : start + turns * period]
            if len(seen) == turns * period and all(kind == seen[at % period] for at, kind in enumerate(seen)):
                return start + 1
    return len(kinds)


def _piled(subject: Subject, at: int) -> tuple[int, int]:
    """(method table, count) of what the object owns most of, by retained bytes: its immediate children, else all that it owns."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    children = subject.graph.owned(at, SAMPLED_CHILDREN)
    for child in children:
        entry = sums[subject.type_of(child).method_table]
        entry[0] += subject.graph.retained_bytes(child)
        entry[1] += 1
    counts, sizes = subject.graph.dominators.retained_by_type(at)
    kind = max(sums, key=lambda table: sums[table][0]) if sums else 0
    if sums and sums[kind][1] >= MANY:
        count = sums[kind][1] if len(children) < SAMPLED_CHILDREN else int(counts[subject.graph.type_index(kind)])
        return (_carried(subject, children) or kind) if is_collection_part(subject.types.type(kind).name) else kind, count
    # few children that own each other in a row: what there is most of, by its own bytes
    many = np.where(counts >= MANY, sizes, 0)
    largest = int(np.argmax(many)) if len(many) else 0
    return (int(subject.graph.table.method_tables[largest]), int(counts[largest])) if len(many) and many[largest] else (0, 0)


def _largest(subject: Subject, at: int) -> tuple[int, int]:
    """(method table, count) of few things, or of one, that most of the bytes below the object belong to; (0, 0) where there are none."""
    total = subject.graph.retained_bytes(at)
    if int(subject.graph.table.size_of(at)) >= MOST_OF * total:
        return subject.type_of(at).method_table, 1
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for child in subject.graph.owned(at, MANY):
        entry = sums[subject.type_of(child).method_table]
        entry[0] += subject.graph.retained_bytes(child)
        entry[1] += 1
    kind = max(sums, key=lambda table: sums[table][0]) if sums else 0
    return (kind, sums[kind][1]) if sums and sums[kind][0] >= MOST_OF * total else (0, 0)


def program_type(subject: Subject, kind: int, count: int, instances: NDArray[np.uint32]) -> tuple[int, int]:
    """(method table, count) of the program's own objects that objects of a type of .NET belong to, one for each; else what was given.

    A byte[] says little where each is part of a Session. What an object belongs to is its nearest dominator of the program's own types.
    """
    if not is_framework(subject.types.type(kind).name):
        return kind, count
    sums: dict[int, int] = defaultdict(int)
    sample = instances[:: max(1, len(instances) // SAMPLED_NODES)].tolist()
    for index in sample:
        owner = next((above for above in subject.graph.chain(index, OWNERS_ABOVE) if not is_framework(subject.type_of(above).name)), None)
        if owner is not None:
            sums[subject.type_of(owner).method_table] += 1
    found = max(sums, key=lambda table: sums[table]) if sums else 0
    if not sums or sums[found] < MOST_OF * len(sample):
        return kind, count
    own = len(subject.instances(found))
    return (found, min(own, count)) if MOST_OF * count <= own else (kind, count)


def _carried(subject: Subject, nodes: Sequence[int]) -> int | None:
    """Method table of what nodes of a collection hold most of, by retained bytes; None where most hold nothing that is theirs alone."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for node in nodes[:SAMPLED_NODES]:
        for child in subject.graph.owned(node, CHILDREN_OF_NODE):
            kind = subject.type_of(child)
            if is_collection_part(kind.name):
                continue
            entry = sums[kind.method_table]
            entry[0] += subject.graph.retained_bytes(child)
            entry[1] += 1
    carried = max(sums, key=lambda table: sums[table][0]) if sums else 0
    return carried if sums and 2 * sums[carried][1] > len(nodes[:SAMPLED_NODES]) else None
