"""Unpacking a compressed dump where there is no room: one sentence that names the directory, and nothing left there."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from heaphound.dump import compressed
from heaphound.dump.core import open_core
from heaphound.errors import DumpError
from tests.dumpwriter import DumpWriter


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "dump.zst"
    noise = bytes((index * index * 7 >> 5) & 0xFF for index in range(3 << 20))
    path.write_bytes(zstandard.compress(DumpWriter().segment(0x10000, noise).data()))
    return path


LIMITED = (
    "import resource, signal, sys\n"
    "from pathlib import Path\n"
    "from heaphound.dump.core import open_core\n"
    "from heaphound.errors import DumpError\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    "try:\n"
    "    open_core(sys.argv[1], cache_directory=Path(sys.argv[2]))\n"
    "except DumpError as error:\n"
    "    print(error)\n"
)


def test_the_system_refuses_to_write_more(tmp_path: Path, dump: Path) -> None:
    """A real refusal of a real write: the process may write 1 MiB a file."""
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", LIMITED, str(dump), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert f"unpacking into {cache} stopped after 1048576 bytes because the file size limit is reached" in done.stdout
    assert "the dump unpacks to 3149824 bytes" in done.stdout
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_disk_is_full(tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    written = 0

    def write(_output: object, block: bytes) -> None:
        nonlocal written
        written += len(block)
        if written > 1 << 20:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(compressed, "_write_all", write)
    cache = tmp_path / "cache"
    with pytest.raises(DumpError) as caught:
        open_core(dump, cache_directory=cache)
    message = str(caught.value)
    assert str(cache) in message
    assert "the disk is full (the dump unpacks to 3149824 bytes): make room there" in message
    assert list(cache.iterdir()) == []


def test_the_disk_fills_up_at_the_end(tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holes and delayed allocation let a file system say so only when it is told to store what it has."""

    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdatasync", no_room)
    cache = tmp_path / "cache"
    with pytest.raises(DumpError, match="the disk is full"):
        open_core(dump, cache_directory=cache)
    assert list(cache.iterdir()) == []


def test_the_cache_directory_cannot_be_made(tmp_path: Path, dump: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(DumpError, match=r"cache directory .*file/cache .* cannot be written"):
        open_core(dump, cache_directory=tmp_path / "file" / "cache")


def test_killed_by_ctrl_c(tmp_path: Path, dump: Path) -> None:
    """A real SIGINT in a process of its own, while it unpacks; background jobs of a shell start with SIGINT ignored."""
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path\n"
        "from heaphound.dump.core import open_core\n"
        "def slow(phase, done, total):\n"
        "    print('working', flush=True)\n"
        "    time.sleep(30)\n"
        "open_core(sys.argv[1], cache_directory=Path(sys.argv[2]), progress=slow)\n"
    )
    cache = tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(dump), str(cache)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        assert len(list(cache.iterdir())) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    assert list(cache.iterdir()) == []
