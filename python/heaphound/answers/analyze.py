"""`analyze`: what is wrong, who holds it, which code, how to fix it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from heaphound.answers.facts import dump_facts, heap_coverage
from heaphound.answers.heap import generation_sizes, heap
from heaphound.answers.lacking import lacking
from heaphound.answers.locks import locks
from heaphound.answers.memory import memory, memory_result
from heaphound.answers.naming import Naming
from heaphound.answers.runtime_ranges import Accounted, account_for
from heaphound.answers.tasks import tasks
from heaphound.answers.threads import threads
from heaphound.answers.types import types
from heaphound.diagnose.holding import best_root, root_words
from heaphound.diagnose.observed import Observed
from heaphound.diagnose.rules import RULES
from heaphound.diagnose.run import diagnose
from heaphound.dump.malloc_blocks import brk_heap_blocks
from heaphound.dump.region import GLIBC_MAIN_HEAP
from heaphound.results.analyze import AnalyzeResult, HeapSummary
from heaphound.results.answer import Answer, Coverage
from heaphound.session import Session

TOP_TYPES = 15
FRAMES_OF_A_THREAD = 64  # what a rule looks at


def analyze(session: Session) -> Answer[AnalyzeResult]:
    """The whole hunt: walk, graph, dominators, rules, verdict.

    A heap that was not walked whole never gives "no-leak", nor one whose names or sources of roots the dump lacks.
    """
    accounted = cache(account_for)
    diagnosis = diagnose(replace(session.subject, observed=_observed(session, accounted)), RULES, session.progress)
    coverage = replace(heap_coverage(session, roots=True), skipped_rules=diagnosis.skipped)
    space, missing = accounted(session)
    unwalked = bool(coverage.gaps) or coverage.walked_bytes != coverage.heap_bytes
    incomplete = unwalked or session.gc_heap.collecting or bool(session.incomplete) or bool(lacking(session))
    result = AnalyzeResult(
        verdict="unclear" if diagnosis.verdict == "no-leak" and incomplete else diagnosis.verdict,
        findings=diagnosis.findings,
        memory=memory_result(session, space),
        heap=_summary(session),
        top_types=types(session, sort="size", limit=TOP_TYPES).result.types,
        skipped_rules=diagnosis.skipped,
    )
    return Answer(dump_facts(session), _with_notes(coverage, missing), result)


def _observed(session: Session, accounted: Callable[[Session], Accounted]) -> Observed:
    return Observed(
        tasks=cache(lambda: tasks(session).result),
        threads=cache(lambda: threads(session, FRAMES_OF_A_THREAD).result.threads),
        locks=cache(lambda: locks(session).result),
        memory=cache(lambda: memory(session, ranges=True, account=accounted).result),
        heap=cache(lambda: heap(session).result),
        malloc_blocks=cache(lambda: _malloc_blocks(session, accounted)),
    )


def _malloc_blocks(session: Session, accounted: Callable[[Session], Accounted]) -> Counter[int]:
    space, _ = accounted(session)
    blocks: Counter[int] = Counter()
    for piece in space.ranges:
        if piece.category == GLIBC_MAIN_HEAP:
            blocks += brk_heap_blocks(session.core.memory, piece.start, piece.end).in_use
    return blocks


def _with_notes(coverage: Coverage, notes: list[str]) -> Coverage:
    return replace(coverage, notes=(*coverage.notes, *notes))


def _summary(session: Session) -> HeapSummary:
    table, dominators = session.table, session.graph.dominators
    free = table.free_type_index
    free_count = 0 if free is None else int(table.type_counts[free])
    free_bytes = 0 if free is None else int(table.type_bytes[free])
    largest = session.graph.owned(None, 1)
    return HeapSummary(
        object_count=table.object_count - free_count,
        size_bytes=int(table.type_bytes.sum()) - free_bytes,
        free_count=free_count,
        free_bytes=free_bytes,
        committed_bytes=sum(segment.committed_end - segment.committed_start for segment in session.gc_heap.segments),
        live_count=dominators.reachable_count,
        live_bytes=dominators.reachable_bytes,
        largest_owner=_owner_words(session, largest[0]) if largest else None,
        largest_owner_retained_bytes=session.graph.retained_bytes(largest[0]) if largest else None,
        generations=tuple(generation_sizes(session)),
    )


def _owner_words(session: Session, index: int) -> str:
    address = int(session.table.address_of(index))
    root = best_root(session.roots, address)
    held = "" if root is None else f", held by {root_words(root)}"
    return f"{Naming(session).type_of_index(index)} at {address:#x}{held}"
