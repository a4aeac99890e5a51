"""Programs in one file: with the runtime linked in they are read like any other; compiled natively they are refused in a sentence."""

import pytest

import heaphound
from heaphound.errors import RuntimeNotFound
from tests.lab.kinds import make_compiled

pytestmark = pytest.mark.single_file


def test_a_single_file_program_is_diagnosed() -> None:
    dump = heaphound.open(str(make_compiled("single-file", "instance-event", 20_000)))
    facts = dump.info()
    assert facts.result.runtime.single_file
    assert [ability.name for ability in facts.result.abilities if ability.state != "available"] == []
    answer = dump.analyze()
    assert answer.result.verdict == "leak"
    assert "Leaks.PriceFeed" in answer.result.findings[0].title
    assert answer.coverage.walked_bytes == answer.coverage.heap_bytes
    assert dump.verify().result.problems == ()


def test_its_stacks_statics_and_code_are_read() -> None:
    dump = heaphound.open(str(make_compiled("single-file", "instance-event", 20_000)))
    methods = [frame.method for thread in dump.threads().result.threads for frame in thread.frames]
    assert "Leaks.Program.Main(System.String[])" in methods
    assert ("Leaks.Program", "Feed") in {(row.declaring_type, row.field) for row in dump.statics().result.statics}


@pytest.mark.usefixtures("without_original_paths")
def test_without_its_file_objects_are_counted_and_the_file_is_named() -> None:
    """gcore leaves out what the file holds: the metadata of all assemblies."""
    path = make_compiled("single-file", "instance-event", 20_000)
    dump = heaphound.open(str(path))
    assert dump.verify().result.problems == ()
    assert dump.verify().result.objects > 20_000
    answer = dump.analyze()
    assert answer.result.verdict == "unclear"
    (note,) = [note for note in answer.coverage.notes if "--binaries" in note]
    assert str(path.with_name("Leaks")) in note


def test_native_aot_is_refused_by_name() -> None:
    with pytest.raises(RuntimeNotFound, match="Native AOT"):
        heaphound.open(str(make_compiled("aot", "static-cache", 100))).info()
