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
