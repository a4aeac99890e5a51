"""What the options mean to the library."""

from pathlib import Path
from typing import Any

import pytest

from heaphound.cli.options import AddressType, SizeType, ThreadType
from tests.unit.cli.run import run


def asked(*arguments: str) -> dict[str, Any]:
    """The keyword arguments of the one call that a command made."""
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    (call,) = ran.library.dump.asked
    return call[2]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0x7f00", 0x7F00),
        ("7f00", 0x7F00),
        ("0X7F00", 0x7F00),
        ("10", 0x10),
        ("00007f3b`56982000", 0x7F3B56982000),
        ("ffffffffffffffff", 2**64 - 1),
    ],
)
def test_addresses(text: str, address: int) -> None:
    assert AddressType().convert(text, None, None) == address


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("85000", 85000), ("10k", 10_000), ("1.5MB", 1_500_000), ("4GiB", 4 * 1024**3), ("2 ki", 2048)]
)
def test_sizes(text: str, size: int) -> None:
    assert SizeType().convert(text, None, None) == size


def test_opening_gets_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abcef":
        (tmp_path / name).mkdir()
    ran = run("info", "core", "--symbols", "a", "--symbols", "b", "--binaries", "c", "--sysroot", "e", "--sysroot", "f", "--cache-dir", "d")
    given = {"symbols": ("a", "b"), "binaries": ("c",), "system_roots": ("e", "f")}
    assert ran.library.opened == [{"path": "core", "cache_directory": "d", **given}]


def test_types() -> None:
    given = asked(
        "types",
        "core",
        "--by",
        "namespace",
        "--live",
        "--min",
        "1k",
        "--max",
        "1M",
        "--filter",
        "^Shop",
        "--generation",
        "loh",
        "--sort",
        "count",
    )
    assert given == {
        "by": "namespace",
        "live": True,
        "dead": False,
        "minimum_bytes": 1000,
        "maximum_bytes": 1_000_000,
        "name": "^Shop",
        "generation": "loh",
        "sort": "count",
        "limit": 50,
    }


def test_objects() -> None:
    given = asked("objects", "core", "--type", "System.String", "--mt", "7f00", "--sort", "retained", "--limit", "3")
    assert (given["type_name"], given["method_table"], given["sort"], given["limit"]) == ("System.String", 0x7F00, "retained", 3)


@pytest.mark.parametrize(
    ("arguments", "limit"), [([], 50), (["--json"], None), (["--limit", "7"], 7), (["--limit", "0"], None), (["--json", "--limit", "7"], 7)]
)
def test_the_limit_of_long_lists(arguments: list[str], limit: int | None) -> None:
    assert asked("statics", "core", *arguments)["limit"] == limit
    assert asked("handles", "core", *arguments)["limit"] == limit


def test_a_list_of_all_objects_is_asked_for_by_name() -> None:
    assert asked("objects", "core", "--json")["limit"] == 100_000
    assert asked("objects", "core", "--json", "--limit", "0")["limit"] is None
    assert asked("objects", "core")["limit"] == 50


def test_path_and_retained_have_limits_of_their_own() -> None:
    assert asked("path", "core", "7f00")["limit"] == 10
    assert asked("path", "core", "7f00", "--all")["limit"] is None
    assert asked("retained", "core")["limit"] == 20
    assert asked("retained", "core", "7f00", "--limit", "0")["limit"] is None


def test_contents_of_strings_only_when_asked() -> None:
    assert asked("object", "core", "7f00")["strings"] is False
    assert asked("object", "core", "7f00", "--strings")["strings"] is True


def test_generations_by_name_or_number() -> None:
    assert asked("objects", "core", "--generation", "2")["generation"] == "gen2"
    assert asked("objects", "core", "--generation", "loh")["generation"] == "loh"
    assert run("objects", "core", "--generation", "3").code == 2


def test_the_cache_is_emptied_only_when_told() -> None:
    assert run("cache").library.removed == [False]
    assert run("cache", "--remove").library.removed == [True]


@pytest.mark.parametrize(("text", "thread"), [("7", 7), ("0x1A2b", 6699), ("worker 7", "worker 7"), ("0x", "0x"), ("-1", "-1")])
def test_a_thread_is_a_number_or_a_name(text: str, thread: int | str) -> None:
    assert ThreadType().convert(text, None, None) == thread
