"""Arrow tables hold what the verbs say."""

import pyarrow.compute as compute

import heaphound
from tests.lab.sample import sample_core


def test_tables_of_the_sample() -> None:
    dump = heaphound.open(sample_core())
    verified, types = dump.verify().result, dump.types_table()
    objects = dump.objects_table(retained=True)
    assert objects.num_rows == verified.objects
    assert compute.sum(objects["size_bytes"]).as_py() == verified.size_bytes
    assert compute.sum(types["count"]).as_py() == verified.objects
    listed = {row.method_table: (row.name, row.count, row.size_bytes) for row in dump.types(limit=None).result.types}
    columns = (types[name].to_pylist() for name in ("method_table", "name", "count", "size_bytes"))
    assert {table: rest for table, *rest in zip(*columns, strict=True)} == {table: [*rest] for table, rest in listed.items()}


def test_dominators_and_references_as_rows() -> None:
    dump = heaphound.open(sample_core())
    objects = dump.objects_table(retained=True)
    top = dump.retained(limit=1).result.owners[0]
    row = objects["address"].to_pylist().index(top.address)
    assert objects["retained_bytes"][row].as_py() == top.retained_bytes
    assert objects["dominator"][row].as_py() is None
    references = dump.references_table(row, row + 1)
    held = {objects["address"][target].as_py() for target in references["target"].to_pylist()}
    assert held == {reference.address for reference in dump.object(top.address).result.references}
    assert set(references["source"].to_pylist()) == {row}
