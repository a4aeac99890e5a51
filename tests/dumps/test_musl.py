"""A process on musl, as in Alpine's containers: found, walked, its threads' stacks and its malloc told apart."""

from collections.abc import Callable
from pathlib import Path

import pytest

import heaphound
from tests.dumps import test_heap_agrees, test_roots_agree, test_stack_roots_agree, test_stacks_agree
from tests.dumps.conftest import Opened
from tests.dumps.known import SWEEP
from tests.lab.cases import Case
from tests.lab.dumps import make_dump, zoo

pytestmark = pytest.mark.musl
RUNTIME = "10.0.11-musl"


def core() -> Path:
    return make_dump(zoo(RUNTIME)).path


@pytest.fixture(scope="module")
def dump() -> heaphound.Dump:
    return heaphound.open(str(core()))


def test_every_ability(dump: heaphound.Dump) -> None:
    result = dump.info().result
    assert [ability.name for ability in result.abilities if ability.state != "available"] == []
    assert dump.verify().result.problems == ()


def test_stacks_to_their_ends(dump: heaphound.Dump) -> None:
    rows = dump.threads().result.threads
    assert {row.name for row in rows} >= {"parked-1", "dead-1", ".NET Timer"}
    assert "Zoo.Program.Main(System.String[])" in [frame.method for frame in rows[0].frames]


def test_memory_names_the_allocator(dump: heaphound.Dump) -> None:
    sizes = {part.kind: part.size_bytes for part in dump.memory().result.parts}
    assert sizes["native-musl-groups"] > 1_000_000
    assert sizes["native-rest"] < sum(sizes.values()) / 100
    assert not [kind for kind in sizes if "glibc" in kind]


@pytest.mark.oracle
@pytest.mark.parametrize(
    "comparison",
    [
        test_heap_agrees.test_walk,
        test_heap_agrees.test_references,
        test_heap_agrees.test_count_bytes_and_name_of_every_type,
        test_roots_agree.test_statics,
        test_roots_agree.test_handles,
        test_stacks_agree.test_every_frame,
        test_stack_roots_agree.test_stack_roots,
    ],
    ids=lambda comparison: comparison.__name__,
)
def test_the_oracle_on_musl_agrees(dump: heaphound.Dump, comparison: Callable[[Opened], None]) -> None:
    comparison(Opened(Case(f"{SWEEP}zoo-{RUNTIME}", core, host=RUNTIME), dump))
