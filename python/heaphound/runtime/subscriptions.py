"""Code that subscribes to events: calls of add accessors, with the handler that goes in and the object whose event it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from heaphound.runtime.calls import CodeModule, CodeSearch, CodeSite
from heaphound.runtime.il_values import Argument, CallResult, FieldValue, FunctionAddress, NewObject, Value, options
from heaphound.runtime.metadata.events import backing_field, event_of_accessor, event_of_field, events
from heaphound.runtime.metadata.member_names import Member

# Methods that give back what their first argument held: the field behind them is the source.
_TRANSPARENT: Final = {
    ("System.Threading.Volatile", "Read"),
    ("System.Threading.Interlocked", "CompareExchange"),
    ("System.Threading.LazyInitializer", "EnsureInitialized"),
    ("System.Lazy`1", "get_Value"),
    ("System.Threading.ThreadLocal`1", "get_Value"),
    ("System.Threading.AsyncLocal`1", "get_Value"),
}
_MAXIMUM_HOPS: Final = 16


@dataclass(frozen=True, slots=True)
class Subscription:
    """One `+=` (or `-=`) in code.

    `handler`: the method in the delegate, None when the delegate comes from elsewhere (`handler_text` says from where).
    `handler_target`: what the delegate's target is made of, None for static methods. `receiver`: the object whose event it is, None for a
    static event. `receiver_field`: the field that the receiver was read from, None when it came from a call, argument or local.
    """

    site: CodeSite
    event: str
    accessor: str
    handler: Member | None
    handler_target: Value | None
    handler_text: str
    receiver: Value | None
    receiver_text: str
    receiver_field: Member | None


class SubscriptionSearch:
    """Finds subscriptions over the modules of a CodeSearch."""

    def __init__(self, search: CodeSearch) -> None:
        self._search = search

    def event_of_field(self, type_name: str, field_name: str) -> str | None:
        """Name of the event whose subscribers a field holds: by name, else by the add accessor that uses it. None: no event."""
        defined = self._search.defining_module(type_name)
        if defined is None:
            return None
        module, rid = defined
        metadata = module.metadata
        for field_rid in metadata.typedef(rid).fields:
            if metadata.field(field_rid).name == field_name:
                named = event_of_field(metadata, field_rid)
                return named.name if named is not None else self._event_by_code(module, type_name, field_name)
        return None

    def _event_by_code(self, module: CodeModule, type_name: str, field_name: str) -> str | None:
        for site in self._search.loads(type_name, field_name):
            found = event_of_accessor(site.module.metadata, site.method_rid) if site.module is module else None
            if found is not None and found.add == site.method_rid:
                return found.name
        return None

    def field_of_event(self, type_name: str, event_name: str) -> str | None:
        """Name of the field that a type stores an event's subscribers in: by name, else the one that its add accessor combines into."""
        defined = self._search.defining_module(type_name)
        if defined is None:
            return None
        module, rid = defined
        for event in events(module.metadata, rid):
            if event.name == event_name:
                field_rid = backing_field(module.metadata, rid, event)
                if field_rid is not None:
                    return module.metadata.field(field_rid).name
                return _combined_field(module, event.add) if event.add is not None else None
        return None

    def subscriptions(self, type_name: str, event_name: str) -> list[Subscription]:
        """Code that adds handlers to an event of a type, also through base types, interfaces and accessors that forward to it."""
        return self._accessor_calls(self._search.ancestry(type_name), event_name, "add_")

    def unsubscriptions(self, type_name: str, event_name: str) -> list[Subscription]:
        """Code that removes handlers, as `subscriptions`."""
        return self._accessor_calls(self._search.ancestry(type_name), event_name, "remove_")

    def _accessor_calls(self, type_names: Iterable[str], event_name: str, prefix: str) -> list[Subscription]:
        found: list[Subscription] = []
        seen: set[tuple[str, str]] = set()
        pending = [(tuple(type_names), event_name)]
        while pending and len(seen) < _MAXIMUM_HOPS:
            names, event = pending.pop(0)
            if (names[0], event) in seen:
                continue
            seen.add((names[0], event))
            for site in self._search.calls(names, prefix + event):
                forwarder = event_of_accessor(site.module.metadata, site.method_rid)
                if forwarder is not None and isinstance(site.operation.arguments[-1], Argument):
                    pending.append(((site.declaring_type,), forwarder.name))
                    continue
                found.append(self._subscription(site, event))
        return found

    def combined_into(self, type_name: str, field_name: str) -> list[Subscription]:
        """Code that adds to a delegate field directly: `field += handler` where the field is no event."""
        found = []
        for site in self._search.stores(type_name, field_name):
            stored = site.operation.arguments[-1]
            for value in options(stored):
                if isinstance(value, CallResult) and (value.method.declaring_type, value.method.name) == ("System.Delegate", "Combine"):
                    accessor = event_of_accessor(site.module.metadata, site.method_rid)
                    if accessor is None and any(_is_field(option, type_name, field_name) for option in options(value.arguments[0])):
                        found.append(self._subscription(site, field_name, value.arguments[-1]))
        return found

    def _subscription(self, site: CodeSite, event: str, value: Value | None = None) -> Subscription:
        operation = site.operation
        accessor = operation.member
        handler_value = operation.arguments[-1] if value is None else value
        handler, target = self._handler(site, handler_value)
        receiver = operation.arguments[0] if len(operation.arguments) > 1 else None
        text = handler.full_name if handler is not None else site.text(handler_value)
        source = source_field(receiver) if receiver is not None else None
        return Subscription(
            site,
            event,
            accessor.full_name if accessor is not None else event,
            handler,
            target,
            text,
            receiver,
            site.text(receiver) if receiver is not None else "",
            source,
        )

    def _handler(self, site: CodeSite, value: Value) -> tuple[Member | None, Value | None]:
        """Method and target of a delegate: made right there, out of a compiler's cache field, or out of a field that one store fills."""
        made = delegate_parts(value)
        if made is not None:
            return made
        for option in options(value):
            if isinstance(option, FieldValue):
                stores = self._search.stores(option.field.declaring_type, option.field.name)
                parts = [delegate_parts(store.operation.arguments[-1]) for store in stores if store.module is site.module]
                methods = {part[0].full_name: part for part in parts if part is not None}
                if len(methods) == 1:
                    return next(iter(methods.values()))
        return None, None


def _combined_field(module: CodeModule, method_rid: int) -> str | None:
    """Name of the only field whose content a method hands to Delegate.Combine; None when there is none, or several."""
    flow = module.flow(method_rid)
    names = set()
    for operation in flow.operations if flow is not None else ():
        called = operation.member
        if called is not None and (called.declaring_type, called.name) == ("System.Delegate", "Combine") and operation.arguments:
            field = source_field(operation.arguments[0])
            names.add(field.name if field is not None else "")
    return next(iter(names)) or None if len(names) == 1 else None


def delegate_parts(value: Value) -> tuple[Member, Value | None] | None:
    """(method, target) of a delegate that the code creates; None when no option of the value is a new delegate. Target None = null."""
    for option in options(value):
        if isinstance(option, NewObject) and len(option.arguments) == 2:
            target, function = option.arguments
            if isinstance(function, FunctionAddress):
                static = not (function.method.signature[:1] and function.method.signature[0] & 0x20)
                return function.method, None if static else target
    return None


def source_field(value: Value) -> Member | None:
    """The field that a value was read from, through calls that only hand it on; None when it comes from elsewhere."""
    for option in options(value):
        found: Value = option
        for _ in range(_MAXIMUM_HOPS):
            if isinstance(found, CallResult) and found.arguments and (found.method.declaring_type, found.method.name) in _TRANSPARENT:
                found = next(options(found.arguments[0]))
                continue
            break
        if isinstance(found, FieldValue):
            return found.field
    return None


def _is_field(value: Value, type_name: str, field_name: str) -> bool:
    field = source_field(value)
    return field is not None and (field.declaring_type, field.name) == (type_name, field_name)
