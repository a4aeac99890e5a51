"""`types`: objects counted by type, namespace, assembly or generation."""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.heap import GENERATION_NAMES, OF_KIND, ORDER, index_range
from heaphound.answers.naming import Naming
from heaphound.errors import HeaphoundError, UsageError
from heaphound.graph.object_graph import UNREACHABLE
from heaphound.results.answer import Answer
from heaphound.results.types import TypeRow, TypesResult, TypesTotal
from heaphound.session import Session

GROUPS = ("type", "namespace", "assembly", "generation")
SORTS = ("size", "count", "retained", "name")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects count. Sizes are of single objects, in bytes, inclusive."""

    live: bool = False
    dead: bool = False
    minimum_bytes: int | None = None
    maximum_bytes: int | None = None
    generation: str | None = None

    @property
    def everything(self) -> bool:
        """Whether no object is left out."""
        return self == EVERYTHING


EVERYTHING = Filter()


def types(
    session: Session,
    by: str = "type",
    chosen: Filter = EVERYTHING,
    name: str | None = None,
    sort: str = "size",
    limit: int | None = None,
) -> Answer[TypesResult]:
    """Count and bytes by type or a coarser group. `name` is a regular expression for the type's name.

    Retained bytes are given with `sort` retained and for live types: they need the whole graph.
    """
    if by not in GROUPS:
        raise UsageError(f"types cannot be grouped by {by}: choose {', '.join(GROUPS)}")
    if sort not in SORTS:
        raise UsageError(f"types cannot be sorted by {sort}: choose {', '.join(SORTS)}")
    if chosen.live and chosen.dead:
        raise UsageError("an object is live or dead: ask for one of them")
    rows = _by_generation(session, chosen, name) if by == "generation" else _by_type(session, chosen, name, sort == "retained")
    if by in ("namespace", "assembly"):
        rows = _merged(rows, by)
    total = TypesTotal(sum(row.count for row in rows), sum(row.size_bytes for row in rows))
    keys = {
        "size": lambda row: (-row.size_bytes, row.name),
        "count": lambda row: (-row.count, row.name),
        "retained": lambda row: (-(row.retained_bytes or 0), -row.size_bytes, row.name),
        "name": lambda row: (row.name, row.method_table or 0),
    }
    rows.sort(key=keys[sort])
    left_out = 0 if limit is None else max(0, len(rows) - limit)
    roots = chosen.live or chosen.dead or sort == "retained"
    coverage = heap_coverage(session, roots=roots, only_types=not roots)
    return Answer(dump_facts(session), coverage, TypesResult(tuple(rows[:limit]), total, by, left_out))


def matching(name: str | None) -> re.Pattern[str] | None:
    """The compiled filter for type names; UsageError says where a pattern is broken."""
    try:
        return None if name is None else re.compile(name)
    except re.error as error:
        raise UsageError(f"{name!r} is no regular expression: {error}") from None


def chosen_mask(session: Session, chosen: Filter, start: int, stop: int) -> NDArray[np.bool_]:
    """Which of the objects [start, stop) the filter takes."""
    table = session.table
    mask = np.ones(stop - start, dtype=np.bool_)
    if chosen.minimum_bytes is not None or chosen.maximum_bytes is not None:
        sizes = table.sizes(start, stop)
        mask &= sizes >= (chosen.minimum_bytes or 0)
        if chosen.maximum_bytes is not None:
            mask &= sizes <= chosen.maximum_bytes
    if chosen.live or chosen.dead:
        reachable = session.graph.dominators.immediate[start:stop] != UNREACHABLE
        mask &= reachable if chosen.live else ~reachable
    if chosen.generation is not None:
        mask &= _in_generation(session, chosen.generation, start, stop)
    return mask


def _in_generation(session: Session, wanted: str, start: int, stop: int) -> NDArray[np.bool_]:
    if wanted not in ORDER:
        raise UsageError(f"there is no generation {wanted}: choose {', '.join(ORDER)}")
    mask = np.zeros(stop - start, dtype=np.bool_)
    for name, low, high in generation_ranges(session):
        if name == wanted:
            first, last = index_range(session, low, high)
            mask[max(first, start) - start : max(min(last, stop) - start, 0)] = True
    return mask


def generation_ranges(session: Session) -> list[tuple[str, int, int]]:
    """(generation, start, end) of everything that holds objects."""
    return [
        (OF_KIND.get(segment.kind) or GENERATION_NAMES[number], start, end)
        for segment in session.gc_heap.segments
        for number, start, end in segment.generation_ranges
    ]


BLOCK = 1 << 22


def counted(session: Session, chosen: Filter) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(count, bytes) per type index of the objects that the filter takes; in blocks, so that memory stays small."""
    table = session.table
    if chosen.everything:
        return table.type_counts, table.type_bytes
    types_count = len(table.method_tables)
    counts, sizes = np.zeros(types_count, np.uint64), np.zeros(types_count, np.uint64)
    for start in range(0, table.object_count, BLOCK):
        stop = min(start + BLOCK, table.object_count)
        mask = chosen_mask(session, chosen, start, stop)
        of_type = table.type_indices(start, stop)[mask]
        counts += np.bincount(of_type, minlength=types_count).astype(np.uint64)
        # float64 sums of a block are exact: 2**22 objects of at most 2**31 bytes stay below 2**53
        sizes += np.bincount(of_type, weights=table.sizes(start, stop)[mask].astype(np.float64), minlength=types_count).astype(np.uint64)
    return counts, sizes


def _by_type(session: Session, chosen: Filter, name: str | None, with_retained: bool) -> list[TypeRow]:
    table, naming, pattern = session.table, Naming(session), matching(name)
    counts, sizes = counted(session, chosen)
    retained = session.graph.dominators.retained_by_all_types()[0] if with_retained else None
    rows = []
    for index, method_table in enumerate(table.method_tables.tolist()):
        if counts[index]:
            type_name = naming.type_name(method_table)
            if pattern is None or pattern.search(type_name):
                kept = None if retained is None else int(retained[index])
                module = _module_name(session, method_table)
                rows.append(TypeRow(Address(method_table), type_name, int(counts[index]), int(sizes[index]), kept, module))
    return rows


def _module_name(session: Session, method_table: int) -> str | None:
    try:
        module = session.types.type(method_table).module
    except HeaphoundError:
        return None  # the type's own name says that it cannot be read
    return None if module is None else module.name


def _merged(rows: list[TypeRow], by: str) -> list[TypeRow]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        key = namespace_of(row.name) if by == "namespace" else row.module or "<unknown>"
        sums[key][0] += row.count
        sums[key][1] += row.size_bytes
    return [TypeRow(None, key, count, size) for key, (count, size) in sums.items()]


def namespace_of(type_name: str) -> str:
    """Namespace of a C#-like type name: what stands before the last dot of its outermost type, without generic arguments."""
    plain = type_name.split("<", 1)[0] if not type_name.startswith("<") else type_name
    return plain.split("+", 1)[0].rstrip("[],*&").rpartition(".")[0] or "<none>"


def _by_generation(session: Session, chosen: Filter, name: str | None) -> list[TypeRow]:
    table, pattern, naming = session.table, matching(name), Naming(session)
    wanted = None
    if pattern is not None:
        wanted = np.array([bool(pattern.search(naming.type_name(int(mt)))) for mt in table.method_tables], dtype=np.bool_)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for generation, low, high in generation_ranges(session):
        first, last = index_range(session, low, high)
        for start in range(first, last, BLOCK):
            stop = min(start + BLOCK, last)
            mask = chosen_mask(session, chosen, start, stop)
            if wanted is not None:
                mask &= wanted[table.type_indices(start, stop)]
            sums[generation][0] += int(mask.sum())
            sums[generation][1] += int(table.sizes(start, stop)[mask].sum())
    return [TypeRow(None, generation, sums[generation][0], sums[generation][1]) for generation in ORDER if generation in sums]
