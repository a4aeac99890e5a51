"""One owner that holds a large share of the heap in a collection that only grows.

What it finds
    The biggest owners of the dominator tree, followed down to the collection (or chain of objects) in which their bytes pile up; and
    objects that several collections hold together.
Why it is a leak
    What a long-lived collection holds cannot be collected. If the code adds to it and never removes, it grows until the process is killed.
Evidence
    The heap: retained bytes, their share, how many of which type. The code: what adds to the field, and whether anything removes from it.
    A collection that is assigned as a whole and no code adds to is a note, whatever its size, and so is one that the code keeps at a size:
    it removes entries in every method that adds some, is an array of fixed length, or a pool that takes an entry or makes a new one.
What it cannot see
    Whether the size is intended (a cache that was sized so); two dumps of the same process tell. Hence the bounded confidence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from heaphound.address import Address
from heaphound.diagnose.accumulation import MOST_OF, Accumulation, accumulations, program_type
from heaphound.diagnose.collection_code import CollectionCode
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.gathering import Gathering, gatherings, shared_groups
from heaphound.diagnose.holding import Held, finding_root, held_by, root_words
from heaphound.diagnose.other_rules import is_of_other_rules
from heaphound.diagnose.slot import Slot, find_field, find_slot, reference_path
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import Finding, Holder, Severity

ID = "growing-collection"
MINIMUM_BYTES = 1 << 20
MINIMUM_SHARE = 0.1
MINIMUM_COUNT = 1000
FEW_COUNT = 100  # enough where they are half of the heap
FEW_BYTES = 8 << 20  # of less than that few objects, or one, are no news
LEAK_SHARE = 0.2
LARGE_BYTES = 32 << 20  # so much in few objects is a leak too
HALF = 0.5  # what holds half of the heap is the answer, whatever the code does to it


@dataclass(frozen=True, slots=True)
class Pile:
    """What piles up, in which fields (none known: an array or a chain), and the way there."""

    kind: int
    count: int
    retained_bytes: int
    slots: tuple[Slot, ...]
    held: Held
    path: tuple[int, ...]
    shared: bool
    """Whether the fields are only some of what keeps it alive."""
    beside: tuple[tuple[int, int], ...] = ()
    """Other types and how many of each that the same fields hold together."""


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each owner, or set of owners, whose bytes pile up in many objects of one type, or in few large ones."""
    minimum = max(MINIMUM_BYTES, int(MINIMUM_SHARE * subject.heap_bytes))
    for found in accumulations(subject, minimum):
        if _is_much(subject, found.piled_count, found.retained_bytes) and not is_of_other_rules(subject, found):
            yield _finding(subject, _pile(subject, found))
    for pile in _shared_piles(subject, minimum):
        yield _finding(subject, pile)


def _shared_piles(subject: Subject, minimum: int) -> Iterator[Pile]:
    """What several collections hold together, as one where it is the same ones that hold several types: the largest speaks."""
    piles: dict[tuple[tuple[str, str], ...], Pile] = {}
    for group in shared_groups(subject, minimum):
        if len(group.indices) < FEW_COUNT or not _is_much(subject, len(group.indices), group.retained_bytes):
            continue
        kind, count = program_type(subject, group.method_table, len(group.indices), group.indices)
        together = gatherings(subject, group.indices.tolist())
        if not together:
            continue
        pile = _together(kind, count, group.retained_bytes, together)
        fields = tuple((slot.type_name, slot.field) for slot in pile.slots)
        first = piles.setdefault(fields, pile)
        if first is not pile:
            retained = first.retained_bytes + pile.retained_bytes  # no group is below another
            piles[fields] = replace(first, retained_bytes=retained, beside=(*first.beside, (kind, count)))
    yield from piles.values()


def _is_much(subject: Subject, count: int, retained_bytes: int) -> bool:
    half = retained_bytes >= HALF * subject.heap_bytes
    return count >= (FEW_COUNT if half else MINIMUM_COUNT) or (half and retained_bytes >= FEW_BYTES)


def _pile(subject: Subject, found: Accumulation) -> Pile:
    held = held_by(subject, found.chain[0])
    path = (*held.path[:-1], *reference_path(subject, found.chain))
    slot = find_slot(subject, held, path)
    if slot is None and not subject.type_of(found.chain[-1]).is_array:
        inside = gatherings(subject, subject.graph.owned(found.chain[-1], FEW_COUNT), found.chain[-1])
        if inside:
            return _together(found.piled_method_table, found.piled_count, found.retained_bytes, inside)
    slot = slot or find_field(subject, held, path)
    count = max(0 if slot is None else slot.count, found.piled_count)
    retained = _retained(subject, slot, found)
    return Pile(found.piled_method_table, count, retained, () if slot is None else (slot,), held, path, False)


def _together(kind: int, count: int, retained_bytes: int, found: Sequence[Gathering]) -> Pile:
    return Pile(kind, count, retained_bytes, tuple(one.slot for one in found), found[0].held, found[0].held.path, True)


def _retained(subject: Subject, slot: Slot | None, found: Accumulation) -> int:
    """Bytes that the collection keeps alive; the owner's where the collection is not its alone."""
    alone = 0 if slot is None else subject.graph.retained_bytes(slot.collection_index)
    return alone if alone >= MOST_OF * found.retained_bytes else found.retained_bytes


def _finding(subject: Subject, pile: Pile) -> Finding:
    code = CollectionCode(subject, pile.slots, subject.types.type(pile.kind), pile.count)
    share = pile.retained_bytes / subject.heap_bytes
    kind = subject.types.type(pile.kind).name
    where = _where(subject, pile)
    others = f" and {'another type' if len(pile.beside) == 1 else f'{len(pile.beside)} other types'}" if pile.beside else ""
    holds = "hold together" if len(pile.slots) > 1 else "holds"
    return Finding(
        rule=ID,
        title=f"{where} {holds} {pile.count:,} {kind}{others}: {share:.0%} of the heap",
        severity=_severity(share, pile, code),
        confidence=_confidence(share, code, pile.held),
        retained_bytes=pile.retained_bytes,
        object_count=pile.count,
        fingerprint=fingerprint(ID, [where, kind]),
        type=kind,
        method_table=Address(pile.kind),
        holder=_holder(subject, pile),
        root=finding_root(subject.threads, pile.held.root),
        path=subject.steps(pile.path),
        code=tuple(code.sites()),
        advice=_advice(where, pile, code),
        evidence=tuple(_evidence(subject, pile, share, code)),
        caveats=tuple(_caveats(pile.held)),
    )


def _where(subject: Subject, pile: Pile) -> str:
    if pile.slots:
        return ", ".join(f"{slot.type_name}.{slot.field}" for slot in pile.slots)
    return subject.type_of(pile.path[0]).name if pile.path else "what is not known"


def _holder(subject: Subject, pile: Pile) -> Holder:
    if not pile.slots:
        return Holder(subject.type_of(pile.path[-1]).name, None, Address(subject.address_of(pile.path[-1])))
    first = pile.slots[0]
    fields = [slot.field if slot.type_name == first.type_name else f"{slot.type_name}.{slot.field}" for slot in pile.slots]
    return Holder(first.type_name, ", ".join(fields), None if first.owner_index is None else Address(subject.address_of(first.owner_index)))


def _severity(share: float, pile: Pile, code: CollectionCode) -> Severity:
    if code.is_bounded or (pile.count < FEW_COUNT and not code.only_grows):
        return "note"
    many = pile.count >= MINIMUM_COUNT or pile.retained_bytes >= LARGE_BYTES
    # where single entries come and go, one dump cannot tell whether more come than go
    if many and not code.is_swept and (share >= HALF or (share >= LEAK_SHARE and code.only_grows)):
        return "leak"
    return "waste" if share >= LEAK_SHARE or code.adds else "note"


def _confidence(share: float, code: CollectionCode, held: Held) -> float:
    sure = 0.4 + 0.2 * min(1.0, share / 0.5) + (0.2 if code.only_grows else 0.0)
    sure -= 0.2 if code.removes or code.is_bounded else 0.0
    return round(sure + (0.05 if held.root is not None and held.root.exact else 0.0), 2)


def _advice(where: str, pile: Pile, code: CollectionCode) -> str:
    if not pile.slots:
        return "find out with `heaphound path` why these objects are still referred to, and let go of them"
    if code.evictions or code.takes_or_makes:
        return f"nothing, if {where} is meant to hold this much; else lower its limit"
    if code.assigned_whole or code.fixed_array:
        return f"nothing, if {where} is meant to hold this much: it is filled once and does not grow"
    if not code.adds and pile.count < FEW_COUNT:
        return f"nothing, if {where} is meant to hold this much; else let go of it when it is no longer needed"
    bound = "check that what removes from it keeps up" if code.removes else "remove what is no longer needed"
    return f"bound {where}: {bound}, or give it a size limit or expiry"


def _evidence(subject: Subject, pile: Pile, share: float, code: CollectionCode) -> Iterator[str]:
    items = f"{pile.count:,} items" if pile.count > 1 else "one item"
    alone = "together with others it keeps" if pile.shared else "it alone keeps"
    yield f"{alone} {pile.retained_bytes:,} bytes alive, {share:.0%} of all objects; {items}"
    if pile.beside:
        yield "with them " + ", ".join(f"{count:,} {subject.types.type(kind).name}" for kind, count in pile.beside)
    yield from code.evidence()


def _caveats(held: Held) -> Iterator[str]:
    yield "one dump cannot tell growth from intended size: compare with an earlier dump of the same process"
    if held.root is None:
        yield "no root was found for the holder"
    elif not held.root.exact:
        yield f"what keeps the holder alive is a guess: a word of the {root_words(held.root)}"


RULE = Rule(ID, find)
