"""A dump that was split: its parts are named, and joined they are the dump."""

import gzip
from pathlib import Path

import pytest

from heaphound.dump.core import open_core
from heaphound.dump.split_parts import following_part, preceding_part
from heaphound.errors import DumpError
from tests.dumpwriter import DumpWriter


@pytest.mark.parametrize(
    ("part", "following"),
    [
        ("core.00", "core.01"),
        ("core.zst.aa", "core.zst.ab"),
        ("core.az", "core.ba"),
        ("dump.part9", "dump.part10"),
        ("core.009", "core.010"),
    ],
)
def test_names_that_count_on(tmp_path: Path, part: str, following: str) -> None:
    for name in (part, following):
        (tmp_path / name).write_bytes(b"data")
    assert following_part(str(tmp_path / part)) == following
    assert preceding_part(str(tmp_path / part)) is None


@pytest.mark.parametrize("name", ["core", "core.zz", "core.dump", "core.1234567", "00", ""])
def test_names_of_whole_files(tmp_path: Path, name: str) -> None:
    assert following_part(str(tmp_path / name)) is None
    assert preceding_part(str(tmp_path / name)) is None


def test_cores_of_neighbouring_processes_are_no_parts(tmp_path: Path) -> None:
    for name in ("core.4242", "core.4243"):
        (tmp_path / name).write_bytes(b"\x7fELF...")
    assert following_part(str(tmp_path / "core.4242")) is None


def test_both_parts_name_each_other(tmp_path: Path) -> None:
    content = DumpWriter().segment(0x10000, b"x" * 0x3000).write(tmp_path / "whole").read_bytes()
    first, second = tmp_path / "core.aa", tmp_path / "core.ab"
    first.write_bytes(content[:0x2000])
    second.write_bytes(content[0x2000:])
    assert "core.ab may be its next part: join" in str(open_core(first).truncation)
    with pytest.raises(DumpError, match=r"core\.aa may be the part before it: join"):
        open_core(second)


def test_a_compressed_dump_in_parts(tmp_path: Path) -> None:
    content = gzip.compress(DumpWriter().segment(0x10000, b"x" * 0x3000).write(tmp_path / "whole").read_bytes())
    (tmp_path / "core.gz.00").write_bytes(content[:100])
    (tmp_path / "core.gz.01").write_bytes(content[100:])
    with pytest.raises(DumpError, match=r"core\.gz\.01 may be its next part"):
        open_core(tmp_path / "core.gz.00", cache_directory=tmp_path / "cache")
