"""`verify`: whether the heap makes sense, and the checksums by which two readers of a dump compare everything in one number."""

from heaphound.address import Address
from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.results.answer import Answer
from heaphound.results.verify import Checksum, Problem, VerifyResult
from heaphound.session import Session


def verify(session: Session) -> Answer[VerifyResult]:
    """Walk the whole heap and follow every reference."""
    table, graph = session.table, session.graph.graph
    free = table.free_type_index
    result = VerifyResult(
        objects=table.object_count,
        size_bytes=int(table.type_bytes.sum()),
        free_objects=0 if free is None else int(table.type_counts[free]),
        free_bytes=0 if free is None else int(table.type_bytes[free]),
        walk_checksum=Checksum(table.walk_checksum()),
        references=graph.reference_count,
        reference_checksum=Checksum(graph.reference_checksum()),
        problems=tuple(_problems(session)),
    )
    return Answer(dump_facts(session), heap_coverage(session, notes=_sweeping(session)), result)


def _sweeping(session: Session) -> tuple[str, ...]:
    """The sentence that stands for dead objects' references in the middle of a background collection's sweep."""
    count = session.graph.graph.dangling_count
    if not count or not session.gc_heap.background_collecting:
        return ()
    return (
        f"{count:,} references hold addresses where no object starts; those of objects that nothing holds are no problem: a background "
        "collection was sweeping, and had freed what they refer to before them",
    )


def _dangling(session: Session) -> list[tuple[int, int]]:
    """(object index, what one of its references holds) for references to no object that a sound heap does not have.

    A background collection frees dead objects segment by segment while the program runs (background_sweep in src/coreclr/gc/gc.cpp), so
    that dead objects ahead of it refer to free space.
    """
    found = session.graph.graph.dangling_references
    if found and session.gc_heap.background_collecting:
        return [(source, value) for source, value in found if session.graph.is_reachable(source)]
    return found


def _problems(session: Session) -> list[Problem]:
    problems = [Problem("unwalkable", Address(start), end - start, reason) for start, end, reason in session.table.gaps]
    problems += [Problem("segment list", Address(gap.address), None, gap.reason) for gap in session.gc_heap.gaps]
    problems += [
        Problem(
            "reference to no object",
            Address(session.table.address_of(source)),
            None,
            f"a reference in it holds {value:#x}, where no object starts",
        )
        for source, value in _dangling(session)
    ]
    missing = session.graph.graph.missing_slots
    if missing:
        problems.append(Problem("missing references", Address(0), None, f"{missing} references lie in memory that is not in the dump"))
    for type_index, reason in session.graph.graph.unknown_types:
        table = int(session.table.method_tables[type_index])
        problems.append(Problem("references of a type unknown", Address(table), None, f"objects of this method table: {reason}"))
    truncation = session.core.truncation
    if truncation is not None:
        problems.append(Problem("truncated file", Address(truncation.first_missing_address), truncation.missing_bytes, str(truncation)))
    return problems
