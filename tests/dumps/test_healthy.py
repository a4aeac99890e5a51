"""Programs without the founding leak must not be told that they have it."""

from collections.abc import Callable

import pytest

import heaphound
from tests.lab.dumps import LabDump, Recipe, leaks, zoo
from tests.lab.runtimes import SINCE_NET_6


def subscriptions(dump: LabDump) -> list[str]:
    findings = heaphound.open(str(dump.path)).analyze().result.findings
    return [f"{finding.title} ({finding.severity})" for finding in findings if finding.rule == "event-subscribers"]


@pytest.mark.parametrize("version", SINCE_NET_6)
def test_a_few_hundred_handlers_are_no_leak(version: str, dump_factory: Callable[[Recipe], LabDump]) -> None:
    """Zoo subscribes 300 times to a static event and 250 times to an instance event: 20 kB in all."""
    result = heaphound.open(str(dump_factory(zoo(version)).path)).analyze().result
    assert result.verdict != "leak"
    assert [finding.title for finding in result.findings if finding.severity == "leak"] == []


@pytest.mark.parametrize("version", ["8.0.4", "9.0.11", "10.0.11"])
def test_a_healthy_program_has_no_event_finding(version: str, dump_factory: Callable[[Recipe], LabDump]) -> None:
    dump = dump_factory(leaks(version, "healthy", 50_000))
    assert subscriptions(dump) == []
    assert heaphound.open(str(dump.path)).analyze().result.verdict == "no-leak"


@pytest.mark.parametrize("version", ["8.0.4", "10.0.11"])
def test_many_subscribers_of_one_instance_event_are_found(version: str, dump_factory: Callable[[Recipe], LabDump]) -> None:
    """The shape by itself: 20,000 baskets that subscribe to one price feed in a static field and are never let go."""
    first = heaphound.open(str(dump_factory(leaks(version, "instance-event", 20_000)).path)).analyze().result.findings[0]
    assert first.rule == "event-subscribers"
    assert first.holder.type == "Leaks.PriceFeed"
    assert first.holder.field == "Changed"
    assert (first.root.declaring_type, first.root.field) == ("Leaks.Program", "Feed")
