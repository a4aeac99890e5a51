"""Load contexts that are being unloaded and cannot go.

What it finds
    Collectible AssemblyLoadContexts whose unloading has begun (Unload was called, or nothing referred to the context object any more),
    while references still lead to what they loaded.
Why it is a leak
    Unload only asks: the context, its assemblies, their code and their statics stay until the last reference to an object, type or method
    of theirs is gone. Each load of a plugin then adds all of that again, most of it native memory.
Evidence
    The LoaderAllocators that roots still reach, and the field that leads to most of them; the state of each context, exact.
What it cannot see
    What a context costs in native memory; contexts that are in use are not counted.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from heaphound.address import Address
from heaphound.diagnose.callbacks import field_offset, rows_of
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import Held, finding_root, held_by
from heaphound.diagnose.slot import Slot, find_field
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, Holder
from heaphound.runtime.framework import is_framework

ID = "load-contexts"
ALLOCATOR = "System.Reflection.LoaderAllocator"
CONTEXT = "System.Runtime.Loader.AssemblyLoadContext"
MINIMUM_COUNT = 10
LEAK_COUNT = 20
UNLOADING = 1  # AssemblyLoadContext.InternalState
SAMPLED = 16
LOADS = ("LoadFromAssemblyPath", "LoadFromStream", "LoadFromAssemblyName")


def find(subject: Subject) -> Iterator[Finding]:
    """One finding if many contexts are being unloaded and something still holds what they loaded."""
    for allocator in subject.types_named(ALLOCATOR):
        members = subject.instances(allocator.method_table)
        alive = members[subject.graph.dominators.retained_of_many(members) > 0]
        if len(alive) >= MINIMUM_COUNT:
            unloaded = np.intersect1d(alive, np.array(_unloading(subject), dtype=np.uint32))
            if len(unloaded) >= MINIMUM_COUNT:
                yield _finding(subject, len(alive), unloaded)


def _unloading(subject: Subject) -> list[int]:
    """The LoaderAllocators of contexts whose unloading has begun, each once; raises Unreadable for a context that the dump lacks."""
    memory, layout = subject.runtime.memory, subject.types.layout
    found: set[int] = set()
    for module in subject.types.modules:
        if not module.collectible or not module.loader_allocator or not module.load_context:
            continue
        handle = memory.pointer(module.loader_allocator + layout.offset("LoaderAllocator", "ObjectHandle"))
        allocator = subject.graph.table.index_of(memory.pointer(handle)) if handle else None
        context = subject.graph.table.index_of(module.load_context)
        offset = None if context is None else field_offset(subject.type_of(context), "_state")
        if allocator is not None and offset is not None and memory.u32(module.load_context + offset) == UNLOADING:
            found.add(allocator)
    return sorted(found)


def _finding(subject: Subject, alive: int, unloaded: NDArray[np.uint32]) -> Finding:
    held, slot, hits = _holder(subject, unloaded.tolist())
    retained = subject.graph.retained_together(unloaded)
    where = "what holds them" if slot is None else f"{slot.type_name}.{slot.field}"
    sites = [site for name in LOADS for site in subject.search.calls((CONTEXT,), name) if not is_framework(site.declaring_type)]
    return Finding(
        rule=ID,
        title=f"{len(unloaded):,} load contexts are being unloaded and stay alive; {where} leads to {'all' if hits == 1 else 'most'}",
        severity="leak" if len(unloaded) >= LEAK_COUNT else "waste",
        confidence=0.9 if slot is not None else 0.75,
        retained_bytes=retained,
        object_count=len(unloaded),
        fingerprint=fingerprint(ID, [where]),
        type=ALLOCATOR,
        method_table=Address(subject.type_of(int(unloaded[0])).method_table),
        holder=Holder(CONTEXT) if slot is None else Holder(slot.type_name, slot.field),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(held.path),
        code=rows_of(sites, "allocates", "loads assemblies into a context"),
        advice=f"let go of every object, delegate and Type of the loaded assemblies before Unload: take them out of {where}",
        evidence=(
            f"{alive:,} collectible load contexts are reachable; of {len(unloaded):,} the unloading has begun (Unload, or their finalizer)",
            f"their loaders alone keep {retained:,} bytes of objects alive (statics); their code and types are native memory",
        ),
    )


def _holder(subject: Subject, alive: list[int]) -> tuple[Held, Slot | None, float]:
    """The field that leads to most of some of them, the way from there to one, and to what share of them it leads."""
    sample = alive[:: max(1, len(alive) // SAMPLED)][:SAMPLED]
    found = []
    for index in sample:
        held = held_by(subject, index)
        found.append((held, find_field(subject, held, held.path[:2]) or find_field(subject, held, held.path)))
    tally = Counter((slot.type_name, slot.field) for _, slot in found if slot is not None)
    if not tally:
        return found[0][0], None, 0.0
    (wanted, hits), *_ = tally.most_common(1)
    held, slot = next((held, slot) for held, slot in found if slot is not None and (slot.type_name, slot.field) == wanted)
    return held, slot, hits / len(sample)


RULE = Rule(ID, find)
