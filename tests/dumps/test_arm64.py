"""arm64: programs under qemu-user, read on a host of another machine. What is compared with the oracle, `tests.lab.cases` says."""

import pytest

import heaphound
from tests.lab.dumps import leaks, make_dump, zoo

pytestmark = pytest.mark.arm64
RUNTIMES = ("3.1.2-arm64", "8.0.31-arm64", "10.0.11-arm64")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_ability_is_there(runtime: str) -> None:
    dump = heaphound.open(str(make_dump(zoo(runtime)).path))
    result = dump.info().result
    assert (result.runtime.architecture, result.runtime.version) == ("arm64", runtime.removesuffix("-arm64"))
    assert {ability.name: ability.note for ability in result.abilities if ability.state != "available"} == {}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_full_core_lacks_nothing(runtime: str) -> None:
    """The gaps of 64 KB between the segments of an image are not in the core, as nothing can be read from them."""
    session = heaphound.open(str(make_dump(zoo(runtime)).path)).session
    assert session.core.kind == "createdump (full)"
    assert (session.backing.attached, session.backing.refused, session.backing.not_found) == ([], [], [])


def test_a_leak_is_found() -> None:
    answer = heaphound.open(str(make_dump(leaks("8.0.31-arm64", "instance-event", 3000)).path)).analyze()
    first = answer.result.findings[0]
    assert (answer.result.verdict, first.rule, first.object_count) == ("leak", "event-subscribers", 3000)
