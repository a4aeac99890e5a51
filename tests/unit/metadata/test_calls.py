"""The code search, against the sources of the programs."""

import re

from heaphound.runtime.collection_writes import collection_writes
from heaphound.runtime.il_values import describe
from heaphound.runtime.metadata.display_names import display_method
from heaphound.runtime.subscriptions import Subscription, SubscriptionSearch
from tests.unit.metadata.images import LEAKS, PROGRAMS, REDIS, SHOP_CACHING, ZOO, code, metadata, method_rid

SOURCE = (PROGRAMS / "Shop.Caching/RedisHub.cs").read_text().splitlines()
MULTIPLEXER = "StackExchange.Redis.ConnectionMultiplexer"


def line_of(subscription: Subscription) -> int:
    place = subscription.site.location
    assert place is not None
    return place.start_line


def test_each_subscription_of_the_getter_with_its_line() -> None:
    search = SubscriptionSearch(code(SHOP_CACHING, REDIS))
    written = {
        match[1]: (match[2], number) for number, text in enumerate(SOURCE, 1) if (match := re.match(r"\s+_hub\.(\w+) \+= (\w+);", text))
    }
    assert len(written) == 6
    for event, (handler, line) in written.items():
        found = [item for item in search.subscriptions(MULTIPLEXER, event) if item.site.module.name == "Shop.Caching.dll"]
        (item,) = found
        assert item.handler is not None
        assert (item.handler.declaring_type, item.handler.name) == ("Shop.Caching.RedisHub", handler)
        assert item.handler_target is None
        assert item.receiver_field is not None
        assert item.receiver_field.full_name == "Shop.Caching.RedisHub._hub"
        assert item.site.method_name == "Shop.Caching.RedisHub.get_Instance()"
        assert line_of(item) == line
        assert [item for item in search.unsubscriptions(MULTIPLEXER, event) if item.site.module.name == "Shop.Caching.dll"] == []


def test_field_and_event_name_each_other() -> None:
    search = SubscriptionSearch(code(SHOP_CACHING, REDIS))
    assert search.event_of_field(MULTIPLEXER, "ConnectionFailed") == "ConnectionFailed"
    assert search.field_of_event(MULTIPLEXER, "ConnectionFailed") == "ConnectionFailed"
    assert search.event_of_field("Shop.Caching.RedisHub", "_hub") is None
    assert search.event_of_field("No.Such", "thing") is None


def test_handlers_of_the_library_itself() -> None:
    search = SubscriptionSearch(code(SHOP_CACHING, REDIS))
    found = search.subscriptions(MULTIPLEXER, "ConnectionFailed")
    closures = [item for item in found if item.handler is not None and "DisplayClass" in item.handler.declaring_type]
    assert [item.site.written_method.name.partition("(")[0] for item in closures] == [MULTIPLEXER + ".InitializeSentinel"]
    assert all(item.handler_target is not None for item in closures)
    removed = search.unsubscriptions(MULTIPLEXER, "ConnectionFailed")
    assert {str(item.site.written_method).partition("(")[0] for item in removed} == {
        f"lambda in {MULTIPLEXER}.InitializeSentinel",
        f"async body of {MULTIPLEXER}.ConnectImplAsync",
        f"{MULTIPLEXER}.ConnectImpl",
    }


def test_static_event_and_cached_delegates() -> None:
    search = SubscriptionSearch(code(ZOO))
    (static,) = search.subscriptions("Zoo.Delegates", "StaticEvent")
    assert static.receiver is None
    assert static.handler is not None
    assert static.handler.full_name == "Zoo.Delegates.OnStatic"
    (cached,) = search.subscriptions("Zoo.Cat+Kitten", "Purred")
    assert cached.handler is not None
    assert cached.handler.name.startswith("<Main>b__")
    assert cached.receiver_text.startswith("new Zoo.Cat+Kitten(")
    (element,) = search.subscriptions("Zoo.Delegates", "InstanceEvent")
    assert element.handler_target is not None
    assert describe(element.handler_target) == "argument 1[]"


def test_stores_and_allocations() -> None:
    search = code(SHOP_CACHING, REDIS)
    (store,) = search.stores("Shop.Caching.RedisHub", "_hub")
    assert describe(store.operation.arguments[-1]) == MULTIPLEXER + ".Connect(...)"
    assert store.location is not None
    assert "_hub = ConnectionMultiplexer.Connect(options);" in SOURCE[store.location.start_line - 1]
    (created,) = search.allocations(MULTIPLEXER)
    assert created.method_name.startswith(MULTIPLEXER + ".CreateMultiplexer(")
    assert search.calls(["No.Such"], "Method") == []


def test_ancestry_crosses_interfaces() -> None:
    names = code(SHOP_CACHING, REDIS).ancestry(MULTIPLEXER)
    assert names[0] == MULTIPLEXER
    assert {"System.Object", "StackExchange.Redis.IConnectionMultiplexer", "System.IDisposable"} <= set(names)


def test_writes_into_static_collections() -> None:
    search = code(ZOO)
    source = (PROGRAMS / "Zoo/Program.cs").read_text().splitlines()
    for owner, field in (("Zoo.Program", "Roots"), ("Zoo.Program", "Concurrent"), ("Zoo.Cat", "ByName")):
        found = collection_writes(search, owner, field)
        assert found
        for write in found:
            assert write.site.location is not None
            assert field in source[write.site.location.start_line - 1]
    writes = sum(len(re.findall(r"\bRoots\.Add\(", text)) for text in source)
    assert len(collection_writes(search, "Zoo.Program", "Roots")) == writes


def test_generated_methods_show_the_written_one() -> None:
    data = metadata(ZOO)
    body = display_method(data, method_rid(ZOO, "Zoo.Program+<Middle>d__16", "MoveNext"))
    assert (body.name, body.role) == ("Zoo.Program.Middle", "async body of")
    plain = display_method(data, method_rid(ZOO, "Zoo.Program", "Middle"))
    assert (plain.name, plain.role) == ("Zoo.Program.Middle(System.Int32)", "")
    names = [str(display_method(data, rid)) for rid in range(1, data.tables.count(6) + 1)]
    assert "lambda in Zoo.Program.Main" in names
    assert not any("b__" in name or "MoveNext" in name for name in names)


def test_no_method_is_lost_silently() -> None:
    search = code(LEAKS)
    (module,) = search.modules
    methods = range(1, module.metadata.tables.count(6) + 1)
    assert {rid for rid in methods if module.metadata.methoddef(rid).has_il} == set(module.bodies)
    assert all(module.flow(rid) is not None for rid in module.bodies)
    assert search.gaps == []


def test_delegate_field_that_is_no_event() -> None:
    search = SubscriptionSearch(code(ZOO))
    found = search.combined_into("Zoo.Delegates", "Multi")
    assert found[0].handler_text == "Zoo.Delegates.InstanceTarget"
    assert search.event_of_field("Zoo.Delegates", "Multi") is None
    assert search.combined_into("Zoo.Delegates", "StaticEvent") == []  # its add accessor is the plumbing, no subscription


def test_variables_show_by_name() -> None:
    found = SubscriptionSearch(code(SHOP_CACHING, REDIS)).subscriptions(MULTIPLEXER, "ConnectionFailed")
    forwarded = next(item for item in found if item.site.method_name.startswith(MULTIPLEXER + ".CreateMultiplexer("))
    assert forwarded.handler is None
    assert forwarded.handler_text == "connectHandler"
