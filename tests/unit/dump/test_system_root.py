"""A directory in place of the process's root: links are the process's own, and nothing outside is touched."""

from pathlib import Path

import pytest

from heaphound.dump.backing import attach_binaries
from heaphound.dump.core import open_core
from heaphound.dump.system_root import path_below
from tests.dumpwriter import DumpWriter
from tests.elf_library import elf_library

BASE = 0x7F0000000000
PATH = "/usr/lib/libx.so"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "layer/usr/lib").mkdir(parents=True)
    return tmp_path / "layer"


def test_a_plain_path(root: Path) -> None:
    assert path_below(root, "/usr/lib/libx.so") == root / "usr/lib/libx.so"
    assert path_below(root, "usr//./lib/x") == root / "usr/lib/x"


def test_an_absolute_link_stays_below_the_root(root: Path) -> None:
    (root / "lib").symlink_to("/usr/lib")
    (root / "usr/lib/libx.so").symlink_to("libx.so.1")
    assert path_below(root, "/lib/libx.so") == root / "usr/lib/libx.so.1"


def test_no_path_and_no_link_leads_out(root: Path) -> None:
    (root / "up").symlink_to("../../../../etc")
    assert path_below(root, "/up/passwd") == root / "etc/passwd"
    assert path_below(root, "/../../etc/passwd") == root / "etc/passwd"


def test_a_circle_of_links(root: Path) -> None:
    (root / "a").symlink_to("/b")
    (root / "b").symlink_to("a")
    assert path_below(root, "/a/x") is None


def test_the_file_of_the_layer_and_not_of_this_machine(tmp_path: Path, root: Path) -> None:
    """The same path exists on this machine too: with a system root it is left alone."""
    here = tmp_path / "libx.so"
    here.write_bytes(elf_library({}))
    core = open_core(DumpWriter().library(str(here), BASE, elf_library({}), pages=range(1)).write(tmp_path / "core"))
    _, report = attach_binaries(core, [], [root])
    assert (report.attached, report.not_found) == ([], [str(here)])
    (root / str(here).lstrip("/")).parent.mkdir(parents=True)
    (root / str(here).lstrip("/")).write_bytes(elf_library({}))
    _, report = attach_binaries(core, [], [root])
    assert [attached.file for attached in report.attached] == [str(root / str(here).lstrip("/"))]


def test_the_first_layer_that_has_the_file(tmp_path: Path, root: Path) -> None:
    (tmp_path / "upper").mkdir()
    (root / PATH.lstrip("/")).write_bytes(elf_library({}))
    core = open_core(DumpWriter().library(PATH, BASE, elf_library({}), pages=range(1)).write(tmp_path / "core"))
    _, report = attach_binaries(core, [], [tmp_path / "upper", root])
    assert [attached.file for attached in report.attached] == [str(root / PATH.lstrip("/"))]
