"""A process dumped while it collects garbage without end: walked as far as it goes, with the rest listed, and never "no-leak"."""

import pytest

import heaphound
from tests.lab.dumps import Recipe, make_dump


@pytest.mark.parametrize("runtime", ["6.0.6", "8.0.4", "9.0.11", "10.0.11"])
def test_a_dump_among_collections(runtime: str) -> None:
    """Whether the moment fell into a collection is chance; both kinds must hold."""
    dump = heaphound.open(str(make_dump(Recipe("Extremes", runtime, ("collecting",))).path))
    answer, collecting = dump.analyze(), dump.session.gc_heap.collecting
    assert answer.coverage.walked_bytes > answer.coverage.heap_bytes / 2
    orders = [row for row in dump.types().result.types if row.name == "Extremes.Order"]
    assert orders
    assert orders[0].count > 100_000
    assert collecting == any("while a garbage collection was moving objects" in note for note in answer.coverage.notes)
    if collecting:
        assert answer.result.verdict != "no-leak"
    else:
        assert answer.coverage.walked_bytes == answer.coverage.heap_bytes
        assert dump.verify().result.problems == ()
