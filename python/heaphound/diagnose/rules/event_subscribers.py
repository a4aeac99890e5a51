"""Event handlers that pile up on a long-lived object.

What it finds
    Delegates with a long invocation list in a field of an object or in a static field: subscribers that are added and not removed.
    Events of one holder are one finding.
Why it is a leak
    The publisher holds every subscriber, and all that the subscriber holds, for as long as it lives itself; raising the event calls all.
Evidence
    The heap: how many subscribers, which methods, on how many different targets; the same method on the same target again is never
    intended. The code: which methods subscribe, from the IL of the loaded assemblies.
What it cannot see
    Handlers kept in collections of the program's own instead of a delegate; code that subscribes by reflection.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heaphound.address import Address
from heaphound.diagnose.finding import Rule
from heaphound.diagnose.fingerprint import fingerprint
from heaphound.diagnose.holding import Held, finding_root, held_by, root_words
from heaphound.diagnose.invocation_lists import Handler, InvocationList, handlers, long_invocation_lists
from heaphound.diagnose.rules.event_wording import advice, confidence, evidence, severity, title
from heaphound.diagnose.subject import Subject
from heaphound.diagnose.subscribing_code import EventCode, code_of_event, rows
from heaphound.results.analyze import Finding, Holder, PathStep
from heaphound.runtime.fields import Field
from heaphound.runtime.roots import Root
from heaphound.runtime.types import Type

ID = "event-subscribers"
MINIMUM_SUBSCRIBERS = 100  # a healthy event has a handful; the severity weighs what this lets through
STARTS = 8  # bytes from an object's address to its fields


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where a delegate is kept: a field of an object (`index`), or a static field (`root`)."""

    type_name: str
    definition: str
    field: str
    index: int | None
    root: Root | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event with its subscribers on the heap and its code."""

    found: InvocationList
    publisher: Publisher
    handlers: tuple[Handler, ...]
    code: EventCode


def find(subject: Subject) -> Iterator[Finding]:
    """A finding for each holder of long invocation lists."""
    groups: dict[tuple[int | None, str], list[tuple[InvocationList, Publisher]]] = {}
    for found in long_invocation_lists(subject, MINIMUM_SUBSCRIBERS):
        publisher = _publisher(subject, found.head_index)
        if publisher is not None:
            key = (publisher.index, publisher.type_name if publisher.index is None else "")
            groups.setdefault(key, []).append((found, publisher))
    for members in groups.values():
        yield _finding(subject, [_event(subject, found, publisher) for found, publisher in members])


def _event(subject: Subject, found: InvocationList, publisher: Publisher) -> Event:
    subscribers = tuple(handlers(subject, found))
    return Event(found, publisher, subscribers, code_of_event(subject, publisher.definition, publisher.field, subscribers))


def _publisher(subject: Subject, head: int) -> Publisher | None:
    """The static field or the object's field that holds the delegate; None when only other delegates, arrays or stacks do."""
    address = subject.address_of(head)
    for row in subject.roots.rows_of(address).tolist():
        root = subject.roots.root(row)
        if root.static is not None:
            definition = subject.types.type(root.static.method_table).definition_name
            return Publisher(root.static.declaring_type, definition, root.static.field, None, root)
    for referrer in subject.graph.referrers(head).tolist():
        field = _field_holding(subject, referrer, address) if subject.graph.is_reachable(referrer) else None
        if field is not None:
            owner = subject.type_of(referrer)
            return Publisher(owner.name, field.declaring_type.definition_name, field.name, referrer, None)
    return None


def _field_holding(subject: Subject, index: int, target: int) -> Field | None:
    owner = subject.type_of(index)
    if owner.is_array or owner.is_delegate:
        return None
    address = subject.address_of(index)
    references = (field for field in owner.fields if field.is_reference and field.offset is not None and not field.is_static)
    return next((field for field in references if subject.runtime.memory.pointer(address + STARTS + (field.offset or 0)) == target), None)


def _finding(subject: Subject, events: list[Event]) -> Finding:
    events.sort(key=lambda event: (-event.found.count, event.code.event))
    largest, publisher = events[0], events[0].publisher
    held = _held(subject, publisher, largest.found.head_index)
    retained = sum(subject.graph.retained_bytes(event.found.head_index) for event in events)
    delegate = _most_frequent(subject, events)
    all_handlers = [handler for event in events for handler in event.handlers]
    names = ", ".join(event.code.event for event in sorted(events, key=lambda event: event.code.event))
    codes = [event.code for event in events]
    code = rows(codes)
    count = sum(event.found.count for event in events)
    return Finding(
        rule=ID,
        title=title(count, delegate.name, publisher.type_name, [event.code.event for event in events], held.root),
        severity=severity(all_handlers, retained, subject.heap_bytes),
        confidence=confidence(all_handlers, codes, held.root),
        retained_bytes=retained,
        object_count=count,
        fingerprint=_fingerprint(events, held.root),
        type=delegate.name,
        method_table=Address(delegate.method_table),
        holder=Holder(publisher.type_name, names, None if publisher.index is None else Address(subject.address_of(publisher.index))),
        root=finding_root(subject.threads, held.root),
        path=_path(subject, held, largest.found),
        code=code,
        advice=advice(subject, all_handlers, codes),
        evidence=tuple(evidence([(event.code, event.handlers) for event in events])),
        caveats=tuple(_caveats(held, codes)),
    )


def _most_frequent(subject: Subject, events: list[Event]) -> Type:
    """The delegate type with the most subscribers over all events."""
    counts = Counter[int]()
    for event in events:
        counts[subject.type_of(event.found.head_index).method_table] += event.found.count
    return subject.types.type(counts.most_common(1)[0][0])


def _held(subject: Subject, publisher: Publisher, head: int) -> Held:
    if publisher.root is not None:
        return Held(publisher.root, (head,), True)
    return held_by(subject, head if publisher.index is None else publisher.index)


def _path(subject: Subject, held: Held, found: InvocationList) -> tuple[PathStep, ...]:
    """From what the root holds down to one of the subscribers."""
    objects = list(held.path)
    if found.head_index not in objects:
        objects.append(found.head_index)
    references = subject.graph.references(found.array_index)
    return subject.steps([*objects, found.array_index, *references[:1].tolist()])


def _fingerprint(events: Iterable[Event], root: Root | None) -> str:
    names: list[str | None] = []
    for event in sorted(events, key=lambda event: event.code.event):
        names += [event.publisher.definition, event.publisher.field, *sorted({handler.method for handler in event.handlers[:3]})]
    held = [] if root is None or root.static is None else [root.static.declaring_type, root.static.field]
    return fingerprint(ID, [*names, *held])


def _caveats(held: Held, codes: list[EventCode]) -> Iterator[str]:
    if held.root is None:
        yield "no root was found for the holder" + ("" if held.complete else " within the bounds of the search")
    elif not held.root.exact:
        yield f"what keeps the holder alive is a guess: a word of the {root_words(held.root)}"
    if not any(code.adds for code in codes):
        yield "no code that subscribes was found in the loaded assemblies: it may use reflection, or its IL is not in the dump"


RULE = Rule(ID, find)
