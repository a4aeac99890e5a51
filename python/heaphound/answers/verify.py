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
    return Answer(dump_facts(session), heap_coverage(session), result)


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
        for source, value in session.graph.graph.dangling_references
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
