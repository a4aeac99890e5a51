"""Memory of the collector that holds no objects: free blocks between objects that stay, and what it keeps committed.

What it finds
    A generation (most often the large object heap) of which most is free blocks; and a collector that keeps far more memory than its
    objects need.
Why it is a leak
    It is none: nothing grows here by mistake. But the process is as large, and free blocks between objects that live long are of use
    only to objects that fit into them.
Evidence
    The walk over the heap, and the segments or regions that the collector has committed, exact.
What it cannot see
    Whether the space will be used again in a moment: a collection may have just freed it.
"""

from collections import Counter
from collections.abc import Iterator

from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import finding_root, held_by, root_words
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, FindingRoot, Holder
from heaphound.results.heap import GenerationSize, HeapResult

ID = "free-space"
LASTING = {"gen2": "generation 2", "loh": "the large object heap", "poh": "the pinned object heap"}
COMMITTED = "gc-committed"
NOT_USED = "stacks-untouched"
MINIMUM_FREE = 8 << 20
MINIMUM_COMMITTED = 64 << 20
SHARE = 0.5
COMMITTED_SHARE = 0.3
OBJECTS_LOOKED_AT = 64


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each generation that is mostly free blocks, and one for committed memory that holds nothing."""
    if subject.observed is None:
        return
    heap = subject.observed.heap()
    for generation in heap.generations:
        free = generation.free_bytes
        if generation.generation in LASTING and free >= max(MINIMUM_FREE, SHARE * generation.size_bytes):
            yield _fragmented(subject, heap, generation)
    parts = {part.kind: part.size_bytes for part in subject.observed.memory().parts}
    committed, total = parts.get(COMMITTED, 0), sum(size for kind, size in parts.items() if kind != NOT_USED)
    if committed >= max(MINIMUM_COMMITTED, COMMITTED_SHARE * total):
        yield _committed(subject, heap, committed, committed / total)


def _fragmented(subject: Subject, heap: HeapResult, generation: GenerationSize) -> Finding:
    name, free = LASTING[generation.generation], generation.free_bytes
    live = [index for index in _largest_in(subject, heap, generation.generation) if subject.graph.is_reachable(index)]
    kinds = Counter(subject.type_of(index).name for index in live)
    held = held_by(subject, live[0]) if live else None
    where = "" if held is None or held.root is None else f", {root_words(held.root)} holds the largest of them"
    return Finding(
        rule=ID,
        title=f"{name} is {generation.fragmentation:.0%} free blocks: {free:,} bytes between objects{where}",
        severity="note",
        confidence=0.6,
        retained_bytes=0,
        object_count=generation.object_count,
        fingerprint=fingerprint(ID, [generation.generation]),
        type=kinds.most_common(1)[0][0] if kinds else "Free",
        method_table=None,
        holder=Holder(name),
        root=FindingRoot("none") if held is None else finding_root(subject.threads, held.root),
        path=() if held is None else subject.steps(held.path),
        advice="pool large buffers (ArrayPool), make them of equal size, or let the collector compact the large object heap once "
        "(GCSettings.LargeObjectHeapCompactionMode), or always conserve memory (System.GC.ConserveMemory)",
        evidence=(
            f"objects {generation.size_bytes - free:,} bytes, free blocks {free:,} bytes, committed {generation.committed_bytes:,} bytes",
        ),
        caveats=("a collection may have just freed it; then the next objects take it",),
    )


def _largest_in(subject: Subject, heap: HeapResult, generation: str) -> list[int]:
    """The largest objects that lie in segments of a generation, largest first; free blocks left out."""
    table = subject.graph.table
    found: list[int] = []
    for segment in heap.segments:
        if segment.generation != generation or segment.end <= segment.start:
            continue
        first = table.index_containing(segment.start)
        for index in range(first or 0, table.object_count) if first is not None else ():
            if table.address_of(index) >= segment.end or len(found) > OBJECTS_LOOKED_AT * OBJECTS_LOOKED_AT:
                break
            if table.type_of(index) != table.free_type_index:
                found.append(index)
    return sorted(found, key=lambda index: -table.size_of(index))[:OBJECTS_LOOKED_AT]


def _committed(subject: Subject, heap: HeapResult, committed: int, share: float) -> Finding:
    kind = "server" if heap.server else "workstation"
    return Finding(
        rule=ID,
        title=f"the {kind} collector keeps {committed:,} bytes committed that hold no object: {share:.0%} of the memory in use; no leak",
        severity="note",
        confidence=0.9,
        retained_bytes=0,
        object_count=0,
        fingerprint=fingerprint(ID, [COMMITTED]),
        type="Free",
        method_table=None,
        holder=Holder("garbage collector"),
        root=FindingRoot("none"),
        advice="nothing, if the machine has room: it is kept for the next objects. Else set a limit (System.GC.HeapHardLimit), "
        "System.GC.ConserveMemory, fewer heaps, or the workstation collector",
        evidence=(f"all objects together are {subject.heap_bytes:,} bytes",),
    )


RULE = Rule(ID, find)
