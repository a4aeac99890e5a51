"""What the event rule says: title, evidence, advice, and how sure it is."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from heaphound.diagnose.code_places import place
from heaphound.diagnose.holding import root_words
from heaphound.diagnose.invocation_lists import Handler
from heaphound.diagnose.subject import Subject
from heaphound.diagnose.subscribing_code import EventCode
from heaphound.results.analyze import Severity
from heaphound.runtime.roots import Root

LEAK_SUBSCRIBERS = 1000
LEAK_BYTES = 1 << 20
LEAK_SHARE = 0.05
HANDLERS_LISTED = 6


def title(count: int, delegate: str, holder: str, events: Sequence[str], root: Root | None) -> str:
    """One sentence: how many, of what, on which events of whom, held by which root."""
    shown = ", ".join(sorted(events)[:8]) + (", ..." if len(events) > 8 else "")
    what = f"event {shown}" if len(events) == 1 else f"{len(events)} events ({shown})"
    held = "" if root is None or (root.static is not None and root.static.declaring_type == holder) else f", held by {root_words(root)}"
    return f"{count:,} subscribers ({delegate}) of the {what} of {holder}{held}"


def severity(handlers: Sequence[Handler], retained_bytes: int, heap_bytes: int) -> Severity:
    """A leak when many subscribers of one method pile up and it shows in the heap; else a note."""
    most = max((handler.count for handler in handlers), default=0)
    repeated = sum(handler.repeated for handler in handlers)
    share = retained_bytes / heap_bytes if heap_bytes else 0.0
    if most >= LEAK_SUBSCRIBERS and (repeated >= LEAK_SUBSCRIBERS or retained_bytes >= LEAK_BYTES or share >= LEAK_SHARE):
        return "leak"
    return "leak" if share >= LEAK_SHARE and most >= LEAK_SUBSCRIBERS // 10 and retained_bytes >= LEAK_BYTES else "note"


def confidence(handlers: Sequence[Handler], codes: Sequence[EventCode], root: Root | None) -> float:
    """Repeated subscriptions are certain mistakes; many different subscribers of one method are probable ones. Code and root add to it."""
    count = sum(handler.count for handler in handlers)
    repeated = sum(handler.repeated for handler in handlers)
    base = 0.8 if count and repeated / count > 0.5 else 0.6
    matched = any(code.matched for code in codes)
    exact = root is not None and root.exact
    return round(base + (0.1 if matched else 0.0) + (0.09 if exact else 0.0), 2)


def evidence(events: Iterable[tuple[EventCode, Sequence[Handler]]]) -> Iterator[str]:
    """Facts of the heap, handler by handler, then facts of the code."""
    never_removed = []
    for code, handlers in events:
        for handler in handlers[:HANDLERS_LISTED]:
            yield f"{code.event}: {_handler_words(handler)}"
        if len(handlers) > HANDLERS_LISTED:
            yield f"{code.event}: {len(handlers) - HANDLERS_LISTED} more methods"
        if code.is_event and code.adds and not code.removes:
            never_removed.append(code.event)
        for remove in code.removes[:2]:
            yield f"{code.event}: handlers are removed in {remove.site.written_method} ({place(remove.site)})"
    if never_removed:
        yield f"no code of the loaded assemblies removes a handler from {', '.join(sorted(never_removed))}"


def _handler_words(handler: Handler) -> str:
    if handler.is_static:
        words = f"{handler.count:,} identical subscriptions of {handler.method}"
    elif handler.distinct_targets == 1 and handler.count > 1:
        words = f"{handler.count:,} identical subscriptions of {handler.method} on one {handler.target_type}"
    else:
        words = f"{handler.count:,} subscriptions of {handler.method} by {handler.distinct_targets:,} different {handler.target_type}"
    return words + (f" ({handler.delegates:,} delegate objects)" if handler.delegates < handler.count else "")


def advice(subject: Subject, handlers: Sequence[Handler], codes: Sequence[EventCode]) -> str:
    """What to change."""
    count = sum(handler.count for handler in handlers)
    repeated = sum(handler.repeated for handler in handlers)
    if count and repeated / count > 0.5:
        where = _assignment(subject, codes)
        method = _subscriber(codes)
        again = f"{method} subscribes again on each call: " if method else "the same handlers are subscribed again and again: "
        return f"{again}subscribe once{where}"
    targets = Counter[str]()
    for handler in handlers:
        targets[handler.target_type or "the subscriber"] += handler.count
    who = targets.most_common(1)[0][0] if targets else "the subscriber"
    return (
        f"{who} outlives its use because the event holds it: remove its handler with -= when it is done (in Dispose), "
        "or let the publisher live no longer than its subscribers"
    )


def _subscriber(codes: Sequence[EventCode]) -> str:
    return next((str(add.site.written_method) for code in codes if code.matched for add in code.adds), "")


def _assignment(subject: Subject, codes: Sequence[EventCode]) -> str:
    """Where the field that holds the publisher is assigned: the place at which subscribing once is right."""
    field = next((add.receiver_field for code in codes for add in code.adds if add.receiver_field is not None), None)
    if field is None:
        return ", where the publisher is created"
    stores = subject.search.stores(field.declaring_type, field.name)
    place_text = f" ({', '.join(dict.fromkeys(place(store) for store in stores[:3]))})" if stores else ""
    return f", where {field.name} is assigned{place_text}"
