"""Load contexts that were unloaded and cannot go.

What it finds
    Collectible AssemblyLoadContexts on which Unload was called, while references still lead to what they loaded.
Why it is a leak
    Unload only asks: the context, its assemblies, their code and their statics stay until the last reference to an object, type or method
    of theirs is gone. Each load of a plugin then adds all of that again, most of it native memory.
Evidence
    The LoaderAllocators that roots still reach, and the field that leads to most of them; the state of each context, exact.
What it cannot see
    What a context costs in native memory; contexts on which nobody called Unload are counted, and may be meant to stay.
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
    """One finding if many contexts were unloaded and something still holds what they loaded."""
    for allocator in subject.types_named(ALLOCATOR):
        members = subject.instances(allocator.method_table)
        alive = members[subject.graph.dominators.retained_of_many(members) > 0]
        unloaded = _unloaded(subject)
        if len(alive) >= MINIMUM_COUNT and unloaded >= MINIMUM_COUNT:
            yield _finding(subject, alive, min(unloaded, len(alive)))


def _unloaded(subject: Subject) -> int:
    """How many contexts are being unloaded, by their state."""
    count = 0
    for index, name in enumerate(subject.type_names):
        if not name or (is_framework(name) and name != CONTEXT):
            continue
        kind = subject.types.type(int(subject.graph.table.method_tables[index]))
        if not any(one.name == CONTEXT for one in (kind, *kind.bases())):
            continue
        offset = field_offset(kind, "_state")
        if offset is not None:
            addresses = subject.graph.table.addresses_of(subject.graph.table.instances(index))
            states, present = subject.runtime.memory.image.gather_u32(addresses + np.uint64(offset))
            count += int((states[present] == UNLOADING).sum())
    return count


def _finding(subject: Subject, alive: NDArray[np.uint32], unloaded: int) -> Finding:
    held, slot, hits = _holder(subject, alive.tolist())
    retained = subject.graph.retained_together(alive)
    where = "what holds them" if slot is None else f"{slot.type_name}.{slot.field}"
    sites = [site for name in LOADS for site in subject.search.calls((CONTEXT,), name) if not is_framework(site.declaring_type)]
    return Finding(
        rule=ID,
        title=f"{unloaded:,} load contexts were unloaded and are still alive; {where} leads to {'them' if hits == 1 else 'most of them'}",
        severity="leak" if unloaded >= LEAK_COUNT else "waste",
        confidence=0.9 if slot is not None else 0.75,
        retained_bytes=retained,
        object_count=len(alive),
        fingerprint=fingerprint(ID, [where]),
        type=ALLOCATOR,
        method_table=Address(subject.type_of(int(alive[0])).method_table),
        holder=Holder(CONTEXT) if slot is None else Holder(slot.type_name, slot.field),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(held.path),
        code=rows_of(sites, "allocates", "loads assemblies into a context"),
        advice=f"let go of every object, delegate and Type of the loaded assemblies before Unload: take them out of {where}",
        evidence=(
            f"{len(alive):,} collectible load contexts are reachable; on {unloaded:,} of them Unload was called",
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
