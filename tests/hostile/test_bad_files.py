"""What people give instead of a core: one sentence each that says what it is and what to do, and never a traceback or a hang."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heaphound.dump import file_check
from heaphound.dump.core import open_core
from heaphound.errors import DumpError
from tests.dumpwriter import DumpWriter
from tests.elf_library import elf_library


def refusal(path: Path | str) -> str:
    with pytest.raises(DumpError) as caught:
        open_core(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def patched(at: int, *values: int) -> bytes:
    data = bytearray(DumpWriter().segment(0x1000, b"x").thread(1).data())
    data[at : at + len(values)] = bytes(values)
    return bytes(data)


CONTENTS = [
    (b"", "is empty"),
    (b"x", "no ELF file"),
    (b"Lorem ipsum " * 40, "no ELF file .it begins with 4c 6f 72 65 6d"),
    (b"MDMP" + bytes(100), "Windows minidump"),
    (b"PAGEDU64" + bytes(100), "Windows kernel dump"),
    (b"\xcf\xfa\xed\xfe" + bytes(100), "macOS"),
    (b"PK\x03\x04" + bytes(100), "zip archive"),
    (b"BZh9" + bytes(100), "bunzip2"),
    (b"MZ" + bytes(200), "PE image"),
    (b"\x7fELF", "cut short inside its ELF header .4 bytes of 64"),
    (b"\x7fELF\x02\x01\x01" + bytes(50), "cut short inside its ELF header"),
    (elf_library({"x": 1}), "a shared library or executable .x64., not a core dump"),
    (patched(16, 2, 0), "an executable .x64., not a core dump"),
    (patched(16, 1, 0), "an object file"),
    (patched(16, 0xFF, 0xFE), "of type 65279"),
    (patched(4, 1), "32-bit process .x64"),
    (patched(4, 1)[:18] + b"\x28\0" + patched(4, 1)[20:], "32-bit process .arm32"),
    (patched(5, 2), "big-endian"),
    (patched(18, 0xF3, 0), "RISC-V"),
    (patched(18, 0x34, 0x12), "machine 4660"),
    (patched(54, 32, 0), "program headers of 32 bytes"),
    (patched(56, 0, 0), "without segments"),
    (patched(56, 0xFE, 0xFF), "cut short inside its program headers"),
    (patched(56, 0xFF, 0xFF), "cut short: the section header at 0"),
    (patched(32, *b"\xff" * 8), "cut short inside its program headers"),
]


@pytest.mark.parametrize(("content", "says"), CONTENTS, ids=[says for _, says in CONTENTS])
def test_wrong_content(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "given"
    path.write_bytes(content)
    message = refusal(path)
    assert pytest.raises(DumpError, match=says).matches(DumpError(message)), message


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nothing")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    assert "does not exist" in refusal(tmp_path / "dangling")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_a_file_as_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    assert "cannot be opened" in refusal(tmp_path / "file" / "core")


def test_a_path_with_a_zero_byte() -> None:
    with pytest.raises(DumpError, match="zero byte"):
        open_core("core\0")


def test_a_name_too_long(tmp_path: Path) -> None:
    assert "cannot be opened" in refusal(tmp_path / ("x" * 5000))


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "cannot be opened" in refusal(tmp_path / "a")


def test_a_pipe_without_a_writer(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert "is a pipe, not a file" in refusal(tmp_path / "pipe")


def test_devices_and_sockets(tmp_path: Path) -> None:
    assert "is a character device, not a file" in refusal("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert "is a socket, not a file" in refusal(tmp_path / "s")


def test_no_permission(tmp_path: Path) -> None:
    """As a user for whom permissions count: root may read everything, so as root the test drops to another user."""
    path = tmp_path / "core"
    path.write_bytes(patched(0))
    path.chmod(0)
    for directory in [tmp_path, *tmp_path.parents][:3]:
        directory.chmod(0o755)
    program = (
        "import os, sys\n"
        "from heaphound.dump.core import open_core\n"
        "from heaphound.errors import DumpError\n"
        "if os.getuid() == 0:\n"
        "    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        "    open_core(sys.argv[1])\n"
        "except DumpError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert "may not be read by this user" in done.stdout, done.stderr


def test_the_file_shrinks_between_two_looks(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(DumpWriter(extended_count=True).segment(0x1000, b"x").data())
    facts = file_check.inspect_file(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DumpError, match="became shorter"):
        file_check.check_core_header(facts, str(path))
