"""One owner that holds a large share of the heap in a collection that only grows.

What it finds
    The biggest owners of the dominator tree, followed down to the collection (or chain of objects) in which their bytes pile up.
Why it is a leak
    What a long-lived collection holds cannot be collected. If the code adds to it and never removes, it grows until the process is killed.
Evidence
    The heap: retained bytes, their share, how many of which type. The code: what adds to the field, and whether anything removes from it.
    A collection that constructors fill and no code adds to is a note, whatever its size.
What it cannot see
    Whether the size is intended (a cache that was sized so); two dumps of the same process tell. Hence the bounded confidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from heaphound.address import Address
from heaphound.diagnose.accumulation import MOST_OF, Accumulation, accumulations
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import Held, finding_root, held_by, root_words
from heaphound.diagnose.slot import Slot, find_slot, item_count, reference_path
from heaphound.diagnose.subject import Subject
from heaphound.diagnose.subscribing_code import file_name, place
from heaphound.results.analyze import CodeSite, Finding, Holder, Severity
from heaphound.runtime.collection_writes import CollectionWrite, collection_writes
from heaphound.runtime.field_uses import is_filled_once

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


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each owner whose bytes pile up in many objects of one type."""
    minimum = max(MINIMUM_BYTES, int(MINIMUM_SHARE * subject.heap_bytes))
    for found in accumulations(subject, minimum):
        if found.piled_count >= MINIMUM_COUNT and not _is_invocation_list(subject, found):
            yield _finding(subject, found)


def _is_invocation_list(subject: Subject, found: Accumulation) -> bool:
    """Subscribers of events are another rule's; delegates in a collection are this one's."""
    in_collection = any(item_count(subject, index) is not None for index in found.chain)
    return subject.types.type(found.piled_method_table).is_delegate and not in_collection


@dataclass(frozen=True)
class Code:
    """What the loaded code does to the collection in a field; nothing where no field is known."""

    subject: Subject
    slot: Slot | None

    @cached_property
    def adds(self) -> list[CollectionWrite]:
        """Calls that add to it."""
        return [] if self.slot is None else collection_writes(self.subject.search, self.slot.definition, self.slot.field)

    @cached_property
    def removes(self) -> list[CollectionWrite]:
        """Calls that remove from it."""
        return [] if self.slot is None else collection_writes(self.subject.search, self.slot.definition, self.slot.field, REMOVING_NAMES)

    @cached_property
    def filled_once(self) -> bool:
        """Whether it is made in a constructor, nothing adds to it, and no other code gets hold of it: it cannot grow."""
        return self.slot is not None and not self.adds and is_filled_once(self.subject.search, self.slot.definition, self.slot.field)


def _finding(subject: Subject, found: Accumulation) -> Finding:
    held = held_by(subject, found.chain[0])
    path = [*held.path[:-1], *reference_path(subject, found.chain)]
    slot = find_slot(subject, held, path)
    code = Code(subject, slot)
    retained = _retained(subject, slot, found)
    share = retained / subject.heap_bytes
    where = f"{slot.type_name}.{slot.field}" if slot is not None else subject.type_of(found.chain[0]).name
    count = max(0 if slot is None else slot.count, found.piled_count)
    return Finding(
        rule=ID,
        title=f"{where} holds {count:,} {found.piled_type}: {share:.0%} of the heap",
        severity=_severity(share, code),
        confidence=_confidence(share, code, held),
        retained_bytes=retained,
        object_count=count,
        fingerprint=fingerprint(ID, [where, found.piled_type]),
        type=found.piled_type,
        method_table=Address(found.piled_method_table),
        holder=_holder(subject, slot, path),
        root=finding_root(subject.threads, held.root),
        path=subject.steps(path),
        code=tuple(_code(code.adds)),
        advice=_advice(where, slot is not None, code),
        evidence=tuple(_evidence(retained, count, share, code)),
        caveats=tuple(_caveats(held)),
    )


def _retained(subject: Subject, slot: Slot | None, found: Accumulation) -> int:
    """Bytes that the collection keeps alive; the owner's where the collection is not its alone."""
    alone = 0 if slot is None else subject.graph.retained_bytes(slot.collection_index)
    return alone if alone >= MOST_OF * found.retained_bytes else found.retained_bytes


def _holder(subject: Subject, slot: Slot | None, path: Sequence[int]) -> Holder:
    if slot is None:
        return Holder(subject.type_of(path[-1]).name, None, Address(subject.address_of(path[-1])))
    return Holder(slot.type_name, slot.field, None if slot.owner_index is None else Address(subject.address_of(slot.owner_index)))


def _severity(share: float, code: Code) -> Severity:
    if code.filled_once:
        return "note"
    grows = bool(code.adds) and not code.removes
    if share >= HALF or (share >= LEAK_SHARE and grows):
        return "leak"
    return "waste" if share >= LEAK_SHARE or code.adds else "note"


def _confidence(share: float, code: Code, held: Held) -> float:
    sure = 0.4 + 0.2 * min(1.0, share / 0.5) + (0.2 if code.adds and not code.removes else 0.0)
    sure -= 0.2 if code.removes or code.filled_once else 0.0
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


def _advice(where: str, is_field: bool, code: Code) -> str:
    if not is_field:
        return "find out with `heaphound path` why these objects are still referred to, and let go of them"
    if code.filled_once:
        return f"nothing, if {where} is meant to hold this much: it is filled once and does not grow"
    bound = "check that what removes from it keeps up" if code.removes else "remove what is no longer needed"
    return f"bound {where}: {bound}, or give it a size limit or expiry"


def _evidence(retained: int, count: int, share: float, code: Code) -> Iterator[str]:
    yield f"it alone keeps {retained:,} bytes alive, {share:.0%} of all objects; {count:,} items"
    if code.removes:
        for write in code.removes[:2]:
            yield f"{write.site.written_method} removes from it ({place(write.site)})"
    elif code.adds:
        yield "no code of the loaded assemblies removes from it"
    elif code.filled_once:
        yield "it is assigned in a constructor, and no code of the loaded assemblies adds to it or hands it on"


def _caveats(held: Held) -> Iterator[str]:
    yield "one dump cannot tell growth from intended size: compare with an earlier dump of the same process"
    if held.root is None:
        yield "no root was found for the holder"
    elif not held.root.exact:
        yield f"what keeps the holder alive is a guess: a word of the {root_words(held.root)}"


RULE = Rule(ID, find)
