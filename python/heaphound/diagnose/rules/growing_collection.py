"""One owner that holds a large share of the heap in a collection that only grows.

What it finds
    The biggest owners of the dominator tree, followed down to the collection (or chain of objects) in which their bytes pile up.
Why it is a leak
    What a long-lived collection holds cannot be collected. If the code adds to it and never removes, it grows until the process is killed.
Evidence
    The heap: retained bytes, their share, how many of which type. The code: what adds to the field, and whether anything removes from it.
What it cannot see
    Whether the size is intended (a cache that was sized so); two dumps of the same process tell. Hence the bounded confidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heaphound.address import Address
from heaphound.diagnose.accumulation import Accumulation, accumulations
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import Held, finding_root, held_by, root_words
from heaphound.diagnose.subject import Subject
from heaphound.diagnose.subscribing_code import file_name, place
from heaphound.errors import Malformed, Unreadable
from heaphound.results.analyze import CodeSite, Finding, Holder, Severity
from heaphound.runtime.collection_writes import CollectionWrite, collection_writes

ID = "growing-collection"
MINIMUM_BYTES = 1 << 20
MINIMUM_SHARE = 0.1
MINIMUM_COUNT = 1000
LEAK_SHARE = 0.2
HALF = 0.5  # what holds half of the heap is the answer, whatever the code does to it
SITES_LISTED = 5
# fmt: off
REMOVING_NAMES = frozenset((
    "Remove", "RemoveAt", "RemoveAll", "RemoveRange", "RemoveFirst", "RemoveLast", "RemoveWhere", "TryRemove", "Clear", "Dequeue",
    "TryDequeue", "Pop", "TryPop", "TryTake", "Take", "TryRead", "ReadAsync", "ReadAllAsync", "Evict", "Compact",
))
# fmt: on


@dataclass(frozen=True, slots=True)
class Slot:
    """The field in which a collection is kept: of a class (static) or of an object in the path (`owner_index`)."""

    type_name: str
    definition: str
    field: str
    owner_index: int | None


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each owner whose bytes pile up in many objects of one type."""
    minimum = max(MINIMUM_BYTES, int(MINIMUM_SHARE * subject.heap_bytes))
    for found in accumulations(subject, minimum):
        if found.piled_count >= MINIMUM_COUNT and not _is_invocation_list(subject, found):
            yield _finding(subject, found)


def _is_invocation_list(subject: Subject, found: Accumulation) -> bool:
    """Subscribers of events are another rule's; delegates in a collection are this one's."""
    return subject.types.type(found.piled_method_table).is_delegate and _count(subject, found.chain) is None


def _finding(subject: Subject, found: Accumulation) -> Finding:
    held = held_by(subject, found.chain[0])
    path = [*held.path[:-1], *found.chain]
    slot = _slot(subject, held, path)
    adds = [] if slot is None else collection_writes(subject.search, slot.definition, slot.field)
    removes = [] if slot is None else collection_writes(subject.search, slot.definition, slot.field, REMOVING_NAMES)
    share = found.retained_bytes / subject.heap_bytes
    where = f"{slot.type_name}.{slot.field}" if slot is not None else subject.type_of(found.chain[0]).name
    count = max(_count(subject, path) or 0, found.piled_count)
    return Finding(
        rule=ID,
        title=f"{where} holds {count:,} {found.piled_type}: {share:.0%} of the heap",
        severity=_severity(share, bool(adds), bool(removes)),
        confidence=_confidence(share, bool(adds), bool(removes), held),
        retained_bytes=found.retained_bytes,
        object_count=count,
        fingerprint=fingerprint(ID, [where, found.piled_type]),
        type=found.piled_type,
        method_table=Address(found.piled_method_table),
        holder=_holder(subject, slot, path),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(path),
        code=tuple(_code(adds)),
        advice=_advice(where, slot is not None, bool(removes)),
        evidence=tuple(_evidence(found, count, share, adds, removes)),
        caveats=tuple(_caveats(held)),
    )


def _slot(subject: Subject, held: Held, path: Sequence[int]) -> Slot | None:
    """The static field at the start of the path if what it holds is a collection, else the last field that leads to one."""
    collection = next((position for position, index in enumerate(path) if _count(subject, [index]) is not None), None)
    static = None if held.root is None else held.root.static
    if static is not None and collection in (0, None):
        return Slot(static.declaring_type, subject.types.type(static.method_table).definition_name, static.field, None)
    if collection is None or collection == 0:
        return None
    owner = subject.type_of(path[collection - 1])
    name = subject.edge(subject.address_of(path[collection - 1]), subject.address_of(path[collection])).split(".")[0]
    declaring = next((field.declaring_type for field in owner.fields if field.name == name), None)
    return None if declaring is None else Slot(owner.name, declaring.definition_name, name, path[collection - 1])


def _count(subject: Subject, path: Sequence[int]) -> int | None:
    """Items of the first collection of a path; None where none is recognised."""
    for index in path:
        try:
            found = subject.containers.recognise(subject.address_of(index), subject.type_of(index))
        except (Unreadable, Malformed):
            continue  # a collection that cannot be read whole is shown by its fields instead
        if found is not None:
            return found.count
    return None


def _holder(subject: Subject, slot: Slot | None, path: Sequence[int]) -> Holder:
    if slot is None:
        return Holder(subject.type_of(path[-1]).name, None, Address(subject.address_of(path[-1])))
    return Holder(slot.type_name, slot.field, None if slot.owner_index is None else Address(subject.address_of(slot.owner_index)))


def _severity(share: float, adds: bool, removes: bool) -> Severity:
    if share >= LEAK_SHARE and (not removes or share >= HALF):
        return "leak"
    return "waste" if share >= LEAK_SHARE or adds else "note"


def _confidence(share: float, adds: bool, removes: bool, held: Held) -> float:
    sure = 0.4 + 0.2 * min(1.0, share / 0.5) + (0.2 if adds and not removes else 0.0) - (0.2 if removes else 0.0)
    return round(sure + (0.05 if held.root is not None and held.root.exact else 0.0), 2)


def _code(adds: Sequence[CollectionWrite]) -> Iterator[CodeSite]:
    for write in adds[:SITES_LISTED]:
        location = write.site.location
        yield CodeSite(
            role="adds",
            method=str(write.site.written_method),
            declaring_type=write.site.written_method.declaring_type,
            module=write.site.module.name,
            file=None if location is None else file_name(location.file),
            line=None if location is None else location.start_line,
            il_offset=write.site.il_offset,
            evidence=f"calls {write.method} on the field" + (f" through {write.through}" if write.through else ""),
        )


def _advice(where: str, is_field: bool, removes: bool) -> str:
    if not is_field:
        return "find out with `heaphound path` why these objects are still referred to, and let go of them"
    bound = "check that what removes from it keeps up" if removes else "remove what is no longer needed"
    return f"bound {where}: {bound}, or give it a size limit or expiry"


def _evidence(
    found: Accumulation, count: int, share: float, adds: Sequence[CollectionWrite], removes: Sequence[CollectionWrite]
) -> Iterator[str]:
    yield f"it alone keeps {found.retained_bytes:,} bytes alive, {share:.0%} of all objects; {count:,} items"
    if removes:
        for write in removes[:2]:
            yield f"{write.site.written_method} removes from it ({place(write.site)})"
    elif adds:
        yield "no code of the loaded assemblies removes from it"


def _caveats(held: Held) -> Iterator[str]:
    yield "one dump cannot tell growth from intended size: compare with an earlier dump of the same process"
    if held.root is None:
        yield "no root was found for the holder"
    elif not held.root.exact:
        yield f"what keeps the holder alive is a guess: a word of the {root_words(held.root)}"


RULE = Rule(ID, find)
