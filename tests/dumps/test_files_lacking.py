"""Cores of gcore and the kernel on a machine without the mapped files: what is missing is named, and nothing is dressed as whole."""

import pytest

import heaphound
from tests.lab.dumps import zoo
from tests.lab.kinds import make_kinds


@pytest.mark.gcore
@pytest.mark.usefixtures("without_original_paths")
def test_gcore_has_objects_and_tokens_but_no_names() -> None:
    kinds = make_kinds(zoo("8.0.4"), ("full", "gcore"))
    part, whole = heaphound.open(str(kinds.cores["gcore"])), heaphound.open(str(kinds.cores["full"]))
    assert part.verify().result == whole.verify().result

    def sizes(dump: heaphound.Dump) -> dict[int, tuple[int, int]]:
        return {row.method_table: (row.count, row.size_bytes) for row in dump.types().result.types}

    assert sizes(part) == sizes(whole)
    names = {row.name for row in part.types().result.types}
    assert {"System.String", "System.Byte[]"} <= names
    assert any(name.endswith(" of Zoo>") for name in names)


@pytest.mark.gcore
@pytest.mark.usefixtures("without_original_paths")
def test_gcore_names_the_files_and_is_never_free_of_leaks() -> None:
    answer = heaphound.open(str(make_kinds(zoo("8.0.4"), ("full", "gcore")).cores["gcore"])).analyze()
    assert answer.result.verdict == "unclear"
    (note,) = [note for note in answer.coverage.notes if "--binaries" in note]
    assert "System.Private.CoreLib.dll" in note
    assert "Zoo.dll" in note


@pytest.mark.kernel_core
@pytest.mark.parametrize("runtime", ["6.0.6", "8.0.4", "10.0.11"])
@pytest.mark.usefixtures("without_original_paths")
def test_a_kernel_core_without_any_file_counts_objects(runtime: str) -> None:
    kinds = make_kinds(zoo(runtime), ("full", "kernel"))
    dump, whole = heaphound.open(str(kinds.cores["kernel"])), heaphound.open(str(kinds.cores["full"]))
    assert dump.verify().result == whole.verify().result
    assert dump.analyze().result.verdict == "unclear"


@pytest.mark.kernel_core
@pytest.mark.parametrize("runtime", ["6.0.6", "8.0.4", "10.0.11"])
@pytest.mark.usefixtures("without_original_paths")
def test_what_a_kernel_core_without_any_file_answers_is_tried(runtime: str) -> None:
    """Statics and types are answered with tokens for names, and stacks are not: `info` says either, and no check is said to fail."""
    dump = heaphound.open(str(make_kinds(zoo(runtime), ("full", "kernel")).cores["kernel"]))
    answer = dump.info()
    states = {row.name: row.state for row in answer.result.abilities}
    assert {name for name, state in states.items() if state == "unavailable"} == {"stacks"}
    assert {name for name, state in states.items() if state == "partial"} == {"type names", "fields", "statics", "thread statics"}
    assert not [note for note in answer.coverage.notes if "fail on this dump" in note]
    for said in (answer, dump.threads(), dump.stack()):
        (note,) = [note for note in said.coverage.notes if "stacks cannot be followed" in note]
        assert "libcoreclr.so" in note
    assert len(dump.statics().result.statics) > 100
