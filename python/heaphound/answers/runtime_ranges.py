"""What the runtime owns of the address space: the GC's memory, code, loader heaps."""

from heaphound.dump.address_space import AddressSpace, account
from heaphound.dump.region import CODE, GC_BOOKKEEPING, GC_COMMITTED, GC_FREE, GC_USED, HANDLE_TABLES, LOADER_HEAPS, Label
from heaphound.errors import HeaphoundError
from heaphound.runtime.gc_memory import read_bookkeeping
from heaphound.runtime.handles import handle_segments
from heaphound.runtime.loader_heaps import read_loader_heaps
from heaphound.session import Session

HANDLE_SEGMENT_BYTES = 1 << 16  # HANDLE_SEGMENT_SIZE of src/coreclr/gc/handletablepriv.h

Accounted = tuple[AddressSpace, list[str]]
Found = tuple[list[Label], list[str]]  # labels, and one sentence for each part that could not be read


def account_for(session: Session) -> Accounted:
    """Every byte of the dump in its category; and one sentence for each kind of range that could not be told apart.

    Free blocks between objects may be millions: they are moved from used to free by amount, so that the single ranges say used.
    """
    labels, missing = runtime_labels(session)
    space = account(session.core, labels)
    if space.category_bytes(GC_USED) == 0:
        return space, missing
    try:
        table = session.table
    except HeaphoundError as error:
        return space, [*missing, f"free blocks cannot be told from objects: {error}"]
    free = table.free_type_index
    if free is not None:
        space = space.moved(GC_USED, GC_FREE, int(table.type_bytes[free]), int(table.type_counts[free]))
    return space, missing


def runtime_labels(session: Session) -> tuple[list[Label], list[str]]:
    """Labelled ranges, the more exact ones first; and one sentence for each kind that could not be read."""
    labels: list[Label] = []
    missing: list[str] = []
    # Loader heaps stand before code: the pages of precode stubs are both.
    kinds = (
        ("GC heap", _gc_labels),
        ("loader heaps", _loader_labels),
        ("code", _code_labels),
        ("GC handles", _handle_labels),
        ("GC tables", _bookkeeping_labels),
    )
    for name, read in kinds:
        try:
            found, gaps = read(session)
            labels.extend(found)
            missing.extend(gaps)
        except HeaphoundError as error:
            missing.append(f"{name} cannot be told apart: {error}")
    return labels, missing


def _gc_labels(session: Session) -> Found:
    labels = [Label(start, end, GC_FREE, "allocation context") for start, end in session.gc_heap.allocation_contexts]
    for segment in session.gc_heap.segments:
        labels.append(Label(segment.start, segment.end, GC_USED, segment.kind))
        labels.append(Label(segment.committed_start, segment.committed_end, GC_COMMITTED, segment.kind))
    return labels, []


def _code_labels(session: Session) -> Found:
    found = session.code.ranges
    labels = [Label(section.start, section.end, CODE, section.kind) for section in found.sections if section.kind != "ready-to-run"]
    return labels, [f"a range of code cannot be read: {reason}" for reason in found.gaps]


def _loader_labels(session: Session) -> Found:
    found = read_loader_heaps(session.runtime, session.module_list.modules)
    labels = [Label(start, end, LOADER_HEAPS, heap.kind) for heap in found.heaps for start, end in heap.blocks]
    return labels, [f"a loader heap ({gap.kind}) cannot be read: {gap.reason}" for gap in found.gaps]


def _handle_labels(session: Session) -> Found:
    return [Label(segment, segment + HANDLE_SEGMENT_BYTES, HANDLE_TABLES, None) for segment in handle_segments(session.runtime)], []


def _bookkeeping_labels(session: Session) -> Found:
    """The tables; and, where the heap is made of regions, what is committed of the reservation and in no region: regions in free lists."""
    tables = read_bookkeeping(session.runtime, session.gc_heap)
    labels = [Label(table.start, table.end, GC_BOOKKEEPING, None) for table in tables]
    if session.gc_heap.regions:
        labels += [Label(table.lowest, table.highest, GC_COMMITTED, "free regions") for table in tables[:1]]
    return labels, []
