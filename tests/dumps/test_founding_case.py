"""The case heaphound was made for: the same handlers subscribed to the same six events on every call of a getter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heaphound
from tests.lab.command import heaphound_command
from tests.lab.dumps import PROGRAMS, LabDump, Recipe, redis_leak
from tests.lab.oracle import golden_dump
from tests.lab.runtimes import SINCE_NET_6, LabError
from tests.lab.sample import SAMPLE
from tests.lab.sample import SYMBOLS as SAMPLE_SYMBOLS

SYMBOLS = PROGRAMS / "RedisLeak" / "bin"
SOURCE = PROGRAMS / "Shop.Caching" / "RedisHub.cs"
EVENTS = {"ConnectionFailed", "ConnectionRestored", "ErrorMessage", "ConfigurationChanged", "HashSlotMoved", "InternalError"}
CALLS = 20_000
# object header, method table and six fields of System.Delegate and System.MulticastDelegate, on every supported version
DELEGATE_BYTES = 64
# header, method table and length; then one pointer a slot. MulticastDelegate.CombineImpl doubles the list: 2, 4, ... 32768 slots for 20,000
LIST_BYTES = 24 + 8 * 32_768


def line_of_first_subscription() -> int:
    return next(number for number, line in enumerate(SOURCE.read_text().splitlines(), 1) if "+=" in line)


def retained_by_the_six_lists() -> int:
    """For each event: the delegate in the field, its list, and one delegate for each call."""
    return len(EVENTS) * (DELEGATE_BYTES + LIST_BYTES + CALLS * DELEGATE_BYTES)


def assert_names_the_leak(result: dict[str, Any]) -> None:
    assert result["verdict"] == "leak"
    first = result["findings"][0]
    assert first["severity"] == "leak"
    assert first["type"].startswith("System.EventHandler<StackExchange.Redis")
    assert first["holder"]["type"] == "StackExchange.Redis.ConnectionMultiplexer"
    assert set(first["holder"]["field"].replace(",", " ").split()) >= EVENTS
    assert first["root"]["kind"] == "static-field"
    assert (first["root"]["declaring_type"], first["root"]["field"]) == ("Shop.Caching.RedisHub", "_hub")
    assert first["retained_bytes"] == pytest.approx(retained_by_the_six_lists(), rel=0.01)
    assert first["object_count"] == pytest.approx(len(EVENTS) * CALLS, rel=0.01)
    subscribing = [code for code in first["code"] if code["declaring_type"] == "Shop.Caching.RedisHub" and "get_Instance" in code["method"]]
    assert [Path(code["file"]).name for code in subscribing[:1]] == ["RedisHub.cs"]
    assert subscribing[0]["line"] == line_of_first_subscription()
    assert first["advice"]
    others = [finding for finding in result["findings"][1:] if finding["holder"]["type"] == first["holder"]["type"]]
    assert others == [], "the six events of one holder are one finding"


def analyze(dump: Path, symbols: Path) -> dict[str, Any]:
    """Through the command line, whose JSON is what other programs read."""
    done = heaphound_command("analyze", str(dump), "--json", "--symbols", str(symbols))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"].startswith("heaphound/analyze/")
    return dict(answer["result"])


@pytest.mark.parametrize("version", [*SINCE_NET_6, pytest.param("8.0.31-arm64", marks=pytest.mark.arm64)])
def test_on_every_runtime(version: str, dump_factory: Callable[[Recipe], LabDump]) -> None:
    dump = dump_factory(redis_leak(version, CALLS))
    assert dump.facts["calls"] == CALLS
    assert_names_the_leak(analyze(dump.path, SYMBOLS))


def test_on_the_sample() -> None:
    assert_names_the_leak(analyze(SAMPLE, SAMPLE_SYMBOLS))


@pytest.mark.golden
def test_on_a_compressed_dump_of_another_machine() -> None:
    dump = golden_dump("redis-8.0.0")
    if dump is None:
        raise LabError("the golden dumps are not here, yet this test was selected")
    assert_names_the_leak(analyze(dump, SYMBOLS))


def test_without_symbols_the_method_is_still_named(dump_factory: Callable[[Recipe], LabDump]) -> None:
    first = heaphound.open(str(dump_factory(redis_leak("9.0.11", CALLS)).path)).analyze().result.findings[0]
    (code, *_) = [code for code in first.code if code.declaring_type == "Shop.Caching.RedisHub" and "get_Instance" in code.method]
    assert code.il_offset is not None


def test_the_fingerprint_is_the_same_on_every_runtime(dump_factory: Callable[[Recipe], LabDump]) -> None:
    dumps = [dump_factory(redis_leak(version, CALLS)) for version in SINCE_NET_6]
    assert len({heaphound.open(str(dump.path)).analyze().result.findings[0].fingerprint for dump in dumps}) == 1
