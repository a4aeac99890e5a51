"""Files that are no usable dump: each gets one clear sentence and exit code 3, never a traceback."""

import gzip
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.command import heaphound_command
from tests.lab.dumps import LabDump, Recipe, zoo
from tests.lab.native_core import native_core
from tests.lab.runtimes import runtime_root
from tests.lab.sample import SAMPLE

NOBODY = 65534


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 3, nothing on stdout, one line on stderr that has these words."""
    assert done.returncode == 3, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert len(lines[0]) < 600
    for word in words:
        assert word.lower() in lines[0].lower(), (word, lines[0])


def refused(path: Path, *words: str) -> None:
    for verb in ("analyze", "info"):
        assert_refused(heaphound_command(verb, str(path)), *words)


@pytest.fixture(scope="session")
def zoo_core(dump_factory: Callable[[Recipe], LabDump]) -> Path:
    return dump_factory(zoo("8.0.4")).path


def first_share(core: Path, share: float, into: Path) -> Path:
    """A copy of the first `share` of a file."""
    shutil.copyfile(core, into)
    os.truncate(into, int(core.stat().st_size * share))
    return into


def test_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.core"
    path.write_text("this is not a dump\n" * 100)
    refused(path, str(path), "not a core dump")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.core"
    path.touch()
    refused(path, str(path), "empty")


def test_an_elf_that_is_no_core() -> None:
    refused(runtime_root("8.0.4") / "dotnet", "not a core dump")


def test_a_native_process(tmp_path: Path) -> None:
    refused(native_core(tmp_path), "no .NET runtime")


def test_an_arm32_core(tmp_path: Path) -> None:
    """An ELF header as a 32-bit ARM kernel writes it: class 32, EM_ARM, ET_CORE."""
    path = tmp_path / "arm.core"
    path.write_bytes(
        b"\x7fELF" + bytes([1, 1, 1]) + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 4, 40, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0) + bytes(4096)
    )
    refused(path, str(path), "arm32")


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_truncated_core_without_the_runtime(share: float, zoo_core: Path, tmp_path: Path) -> None:
    path = first_share(zoo_core, share, tmp_path / "cut.core")
    refused(path, str(path), "cut short")


def test_a_core_cut_inside_its_headers(zoo_core: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.core"
    for size in (4, 63, 64, 200, 4096):
        with open(zoo_core, "rb") as core:
            path.write_bytes(core.read(size))
        refused(path, str(path))


def test_a_core_without_its_last_hundredth_is_answered_in_part(zoo_core: Path, tmp_path: Path) -> None:
    path = first_share(zoo_core, 0.99, tmp_path / "cut.core")
    done = heaphound_command("analyze", str(path), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "cut short" in answer["dump"]["truncated"]
    assert answer["result"]["heap"]["object_count"] > 5000
    shown = heaphound_command("analyze", str(path))
    assert shown.returncode == 0
    assert "cut short" in shown.stdout + shown.stderr


def test_a_directory(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "directory")


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "no-such.core", "no-such.core", "does not exist")


def test_no_permission(tmp_path: Path) -> None:
    """Permission bits do not bind root, so there the command gives up its privileges after it is loaded, before it looks at the file."""
    path = tmp_path / "secret.core"
    shutil.copyfile(SAMPLE, path)
    path.chmod(0)
    drop = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY}); " if os.geteuid() == 0 else ""
    load = "import os, sys; import heaphound.cli.main as cli, heaphound.api; "
    program = f"{load}{drop}sys.argv[1:] = ['info', {str(path)!r}]; sys.exit(cli.main())"
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert_refused(done, "may not be read")


def test_a_zst_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "half.core.zst"
    path.write_bytes(SAMPLE.read_bytes()[: SAMPLE.stat().st_size // 2])
    refused(path, str(path), "cut short")


def test_a_zst_with_a_flipped_byte(tmp_path: Path) -> None:
    content = bytearray(SAMPLE.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "flipped.core.zst"
    path.write_bytes(content)
    refused(path)


def test_a_gzip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "letter.gz"
    path.write_bytes(gzip.compress(b"dear reader\n" * 1000))
    refused(path, str(path), "not a core dump")


def test_a_runtime_without_a_layout(zoo_core: Path, tmp_path: Path) -> None:
    """The same dump with the version in libcoreclr's version text changed to a major.minor that nobody has a layout for."""
    content = zoo_core.read_bytes()
    assert b"@(#)Version 8.0.424." in content
    path = tmp_path / "future.core"
    path.write_bytes(content.replace(b"@(#)Version 8.0.424.", b"@(#)Version 7.1.424."))
    refused(path, "no layout for .NET 7.1.4", "6.0, 8.0, 9.0, 10.0")


def test_a_full_disk_while_decompressing(tmp_path: Path) -> None:
    """The kernel refuses to let a file grow past a limit, as a full disk does; nothing half-written stays in the cache."""
    cache = tmp_path / "cache"
    limit = 20_000_000
    done = heaphound_command(
        "info",
        str(SAMPLE),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        environment={"XDG_CACHE_HOME": str(cache)},
    )
    assert_refused(done, str(cache), "make room")
    assert [path for path in cache.rglob("*") if path.is_file()] == []
