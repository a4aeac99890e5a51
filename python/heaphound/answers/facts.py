"""What surrounds every answer: the dump in one line, and how much of it the answer rests on."""

from contextlib import suppress

from heaphound.address import Address
from heaphound.answers.lacking import lacking, other_runtimes
from heaphound.errors import HeaphoundError
from heaphound.results.answer import Coverage, DumpFacts, Gap
from heaphound.session import Session

MAXIMUM_GAPS = 1000


def dump_facts(session: Session) -> DumpFacts:
    """The dump in one line. A runtime that cannot be used raises as `find_runtime` does."""
    core, runtime = session.core, session.runtime
    heap_count, regions = None, None
    with suppress(HeaphoundError):  # the verb that needs the heap raises the reason; one that does not still answers
        heap_count, regions = len(session.gc_heap.heaps), session.gc_heap.regions
    return DumpFacts(
        file=core.path,
        size_bytes=core.image.file_size_bytes,
        kind=str(core.writer),
        os="linux",
        architecture=core.machine,
        pid=core.process.pid,
        process=application_name(session),
        runtime=runtime.version,
        runtime_build_id=runtime.build_id,
        server_gc=runtime.server_gc,
        heap_count=heap_count,
        regions=regions,
        truncated=None if core.truncation is None else str(core.truncation),
    )


def application_name(session: Session) -> str | None:
    """The entry assembly: the first loaded module that is not the core library; else the command of the process."""
    try:
        modules = session.module_list.modules
    except HeaphoundError:
        modules = ()
    named = [module.name for module in modules[:2] if module.name != "System.Private.CoreLib"]
    return named[0] if named else session.core.process.command


def heap_coverage(session: Session, *, roots: bool = False, only_types: bool = False, notes: tuple[str, ...] = ()) -> Coverage:
    """Coverage of an answer that rests on the walked heap and, with `roots`, on all roots; `only_types`: on objects and types alone."""
    table, heap = session.table, session.gc_heap
    gaps = [Gap(Address(start), Address(end), reason) for start, end, reason in table.gaps[:MAXIMUM_GAPS]]
    gaps += [Gap(Address(gap.address), Address(gap.address), gap.reason) for gap in heap.gaps]
    if len(table.gaps) > MAXIMUM_GAPS:
        notes = (*notes, f"{len(table.gaps) - MAXIMUM_GAPS} more gaps are not listed")
    if heap.collecting:
        notes = (*notes, "the dump was taken while a garbage collection was moving objects")
    total = sum(end - start for start, end in heap.object_ranges())
    return Coverage(
        heap_bytes=total,
        walked_bytes=table.walked_bytes + table.hole_bytes,
        gaps=tuple(gaps),
        incomplete_roots=session.roots.incomplete if roots else (),
        notes=(*notes, *other_runtimes(session), *lacking(session, only_types=only_types)),
    )
