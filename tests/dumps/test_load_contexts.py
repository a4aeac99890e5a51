"""Many collectible load contexts: some in use, some unloading but held, some gone."""

from collections import Counter

import pytest

import heaphound
from tests.lab.dumps import Recipe, make_dump

COUNT = 60


@pytest.mark.parametrize("runtime", ["6.0.6", "8.0.4", "9.0.11", "10.0.11"])
def test_contexts(runtime: str) -> None:
    made = make_dump(Recipe("Extremes", runtime, ("contexts", str(COUNT))))
    dump = heaphound.open(str(made.path))
    assert made.facts["alive"] == COUNT // 3
    answer = dump.verify()
    assert answer.result.problems == ()
    assert answer.coverage.walked_bytes == answer.coverage.heap_bytes
    modules = Counter(row.name for row in dump.modules().result.modules)
    held = 2 * COUNT // 3
    assert modules["Extremes"] == 1 + held
    plugins = [row for row in dump.types().result.types if row.name == "Extremes.Plugin"]
    assert len(plugins) == held
    blobs = [row for row in dump.statics().result.statics if (row.declaring_type, row.field) == ("Extremes.Plugin", "Blob")]
    assert len([row for row in blobs if row.object]) == held


def test_what_8_0_leaves_of_unloaded_types_in_the_frozen_heap_is_a_gap_and_no_damage() -> None:
    dump = heaphound.open(str(make_dump(Recipe("Extremes", "8.0.4", ("emitted", "20"))).path))
    (gap,) = dump.verify().coverage.gaps
    assert gap.reason.startswith("no MethodTable at")
    (frozen,) = [row for row in dump.heap().result.segments if row.kind == "Frozen"]
    assert frozen.start < gap.start < gap.end < frozen.end
    answer = dump.info()
    assert [row.name for row in answer.result.abilities if row.state != "available"] == []
    assert not [note for note in answer.coverage.notes if "fail on this dump" in note]
