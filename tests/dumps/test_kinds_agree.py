"""Cores of one process by createdump, gcore and the kernel: the same answers wherever the mapped files are at hand."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import heaphound
from tests.lab.dumps import Recipe, redis_leak, zoo
from tests.lab.kinds import KindsOfDump, make_kinds
from tests.lab.runtimes import framework_directory
from tests.lab.twin import finalizer_queue

PARTS = ("verify", "types", "statics", "handles", "modules", "heap", "retained")


def answers(path: str) -> dict[str, Any]:
    dump = heaphound.open(path)
    found = {part: asdict(getattr(dump, part)().result) for part in PARTS}
    found["finalizer queue"] = finalizer_queue(dump)
    found["sync blocks"] = [asdict(block) for block in dump.session.sync_blocks]
    # The kernel ends the process after the other dumps were taken, and one of the runtime's own threads can come or go until then.
    found["threads"] = sorted((thread.managed_id, thread.os_id) for thread in dump.session.threads)[:2]
    return found


def assert_same(kinds: KindsOfDump, other: str) -> None:
    whole, part = answers(str(kinds.cores["full"])), answers(str(kinds.cores[other]))
    assert whole["verify"]["objects"] > 1000
    assert whole["verify"]["problems"] == ()
    for name, answer in whole.items():
        assert part[name] == answer, name


@pytest.mark.gcore
@pytest.mark.parametrize("runtime", ["8.0.4", "10.0.11"])
def test_gcore(runtime: str) -> None:
    assert_same(make_kinds(zoo(runtime), ("full", "gcore")), "gcore")


@pytest.mark.kernel_core
@pytest.mark.parametrize(("runtime", "coredump_filter"), [("6.0.6", 0x33), ("8.0.4", 0x33), ("9.0.11", 0x7F), ("10.0.11", 0x33)])
def test_kernel(runtime: str, coredump_filter: int) -> None:
    assert_same(make_kinds(zoo(runtime), ("full", "kernel"), coredump_filter), "kernel")


@pytest.mark.kernel_core
def test_the_founding_case_in_a_core_of_the_kernel() -> None:
    kinds = make_kinds(redis_leak("9.0.11", 2000), ("full", "kernel"))
    whole, part = (heaphound.open(str(kinds.cores[kind])).analyze().result for kind in ("full", "kernel"))
    assert part.verdict == "leak"
    assert json.dumps(asdict(part)["findings"], default=str) == json.dumps(asdict(whole)["findings"], default=str)


@pytest.mark.kernel_core
@pytest.mark.usefixtures("without_original_paths")
def test_binaries_in_place_of_the_original_paths() -> None:
    kinds = make_kinds(Recipe("Shapes", "8.0.4"), ("full", "kernel"))
    dump = heaphound.open(str(kinds.cores["kernel"]), binaries=[framework_directory("8.0.4"), kinds.app])
    whole = heaphound.open(str(kinds.cores["full"]))
    assert asdict(dump.verify().result) == asdict(whole.verify().result)
    assert asdict(dump.types().result) == asdict(whole.types().result)
    assert not [note for note in dump.types().coverage.notes if "--binaries" in note]


@pytest.mark.kernel_core
def test_the_file_system_of_a_container_in_two_layers(tmp_path: Path) -> None:
    """Base and program as layers of their own; the framework's folder is a link there, as the process alone would resolve it."""
    kinds = make_kinds(Recipe("Shapes", "8.0.4"), ("full", "kernel"))
    framework, base, upper = framework_directory("8.0.4"), tmp_path / "base", tmp_path / "upper"
    for folder, there in ((kinds.app, upper / str(kinds.app).lstrip("/")), (framework, base / "elsewhere")):
        shutil.copytree(folder, there, copy_function=shutil.copyfile)
    (base / str(framework).lstrip("/")).parent.mkdir(parents=True)
    (base / str(framework).lstrip("/")).symlink_to("/elsewhere")
    dump = heaphound.open(str(kinds.cores["kernel"]), system_roots=[upper, base])
    whole = heaphound.open(str(kinds.cores["full"]))
    assert asdict(dump.types().result) == asdict(whole.types().result)
    attached = {Path(file.file) for file in dump.session.backing.attached}
    assert all(file.is_relative_to(tmp_path) for file in attached)
    assert base / "elsewhere" / "libcoreclr.so" in attached
    assert upper / str(kinds.app / "Shapes.dll").lstrip("/") in attached


@pytest.mark.kernel_core
def test_an_empty_file_system_stands_for_no_files(tmp_path: Path) -> None:
    """The files of this machine are not taken in its place; every object is still counted, and the remedy is named."""
    kinds = make_kinds(Recipe("Shapes", "8.0.4"), ("full", "kernel"))
    dump = heaphound.open(str(kinds.cores["kernel"]), system_roots=[tmp_path])
    assert dump.session.backing.attached == []
    assert dump.verify().result.walk_checksum == heaphound.open(str(kinds.cores["full"])).verify().result.walk_checksum
    assert [note for note in dump.types().coverage.notes if "--sysroot" in note]
