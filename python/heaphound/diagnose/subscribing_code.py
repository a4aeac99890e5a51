"""Which code subscribes to an event: call sites in IL, matched with the handlers that the heap shows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heaphound.diagnose.code_places import code_row, place
from heaphound.diagnose.invocation_lists import Handler
from heaphound.diagnose.subject import Subject
from heaphound.results.analyze import CodeSite as CodeRow
from heaphound.runtime.subscriptions import Subscription, SubscriptionSearch


@dataclass(frozen=True, slots=True)
class EventCode:
    """Code around one event (or delegate field). `adds` are in the order in which they should be shown; `removes` anywhere in the code."""

    event: str
    is_event: bool
    adds: tuple[Subscription, ...]
    matched: bool
    """Whether `adds` are those whose handler is on the heap; False: the code adds handlers, but which ones is not told."""
    removes: tuple[Subscription, ...]


def code_of_event(subject: Subject, declaring_type: str, field: str, handlers: Sequence[Handler]) -> EventCode:
    """Code that subscribes to the event stored in a field. `declaring_type` is a metadata name."""
    search = SubscriptionSearch(subject.search)
    event = search.event_of_field(declaring_type, field)
    adds = search.combined_into(declaring_type, field)
    removes: list[Subscription] = []
    if event is not None:
        adds += search.subscriptions(declaring_type, event)
        removes = search.unsubscriptions(declaring_type, event)
    matching = [add for add in adds if add.handler is not None and any(_same(add, handler) for handler in handlers)]
    chosen = matching or adds
    return EventCode(event or field, event is not None, tuple(chosen), bool(matching), tuple(removes))


def _same(add: Subscription, handler: Handler) -> bool:
    method = add.handler
    return (
        method is not None and handler.name is not None and (method.declaring_type, method.name) == (handler.declaring_type, handler.name)
    )


def rows(codes: Iterable[EventCode]) -> tuple[CodeRow, ...]:
    """One row for each method that subscribes: its first `+=`, and all of them in the evidence. Matched ones first."""
    by_method: dict[tuple[str, int], list[tuple[EventCode, Subscription]]] = {}
    for code in sorted(codes, key=lambda code: not code.matched):
        for add in code.adds:
            by_method.setdefault((add.site.module.name, add.site.method_rid), []).append((code, add))
    return tuple(_row(found) for found in by_method.values())


def _row(found: list[tuple[EventCode, Subscription]]) -> CodeRow:
    ordered = sorted(found, key=lambda entry: entry[1].site.il_offset)
    return code_row(ordered[0][1].site, "subscribes", _evidence(ordered))


def _evidence(found: list[tuple[EventCode, Subscription]]) -> str:
    parts = []
    for code, add in found:
        receiver = f"{add.receiver_text}." if add.receiver_text else ""
        parts.append(f"{place(add.site)}: {receiver}{code.event} += {add.handler_text}")
    words = "; ".join(parts)
    return words if all(code.matched for code, _ in found) else f"{words} (which of these made the subscribers is not certain)"
