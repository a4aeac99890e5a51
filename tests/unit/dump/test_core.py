"""A core of a known process, opened: what the file layer says of it."""

from pathlib import Path

import pytest

from heaphound.dump.core import open_core
from heaphound.errors import DumpError, Unreadable
from tests.dumpwriter import DumpWriter, small_process


@pytest.mark.parametrize("machine", ["x64", "arm64"])
def test_threads_and_registers(tmp_path: Path, machine: str) -> None:
    names = {"x64": {"rip": 1, "rsp": 2, "rbp": 3, "fs_base": 4}, "arm64": {"pc": 1, "sp": 2, "fp": 3, "lr": 4}}[machine]
    core = open_core(DumpWriter(machine).segment(0x1000, b"x").thread(77, signal=6, **names).write(tmp_path / "core"))
    assert core.machine == machine
    [thread] = core.threads
    assert (thread.os_id, thread.signal) == (77, 6)
    assert (thread.instruction_pointer, thread.stack_pointer, thread.frame_pointer) == (1, 2, 3)
    assert {name: thread.registers[name] for name in names} == names


def test_process_files_auxv_signal(tmp_path: Path) -> None:
    writer = small_process("x64", "kernel").signal(11, 1, 0xDEAD)
    core = open_core(writer.write(tmp_path / "core"))
    assert (core.process.pid, core.process.parent_pid, core.process.command) == (42, 1, "dotnet")
    assert core.process.arguments == "dotnet app.dll"
    assert core.auxv[3] == 0x400040
    assert core.signal is not None
    assert (core.signal.number, core.signal.code, core.signal.address) == (11, 1, 0xDEAD)
    assert [(file.start, file.file_offset, file.path) for file in core.files[:2]] == [
        (0x400000, 0, "/app/program"),
        (0x402000, 0x2000, "/app/program"),
    ]


@pytest.mark.parametrize(
    ("order", "kind"), [("createdump", "createdump"), ("kernel", "kernel"), ("gcore", "gcore"), ("qemu-user", "qemu-user")]
)
def test_who_wrote_it(tmp_path: Path, order: str, kind: str) -> None:
    core = open_core(small_process(order=order).signal(6).write(tmp_path / "core"))
    assert core.writer.program == kind
    assert core.writer.evidence


def test_an_unknown_writer_is_said_to_be_unknown(tmp_path: Path) -> None:
    assert open_core(DumpWriter().segment(0x1000, b"x").write(tmp_path / "core")).kind == "unknown"


def test_createdump_modes(tmp_path: Path) -> None:
    """Full has every byte of libcoreclr, heap has malloc's arenas whole, mini only pages of both."""
    arena = 0x7E0000000000
    header = (arena + 0x30).to_bytes(8, "little") + bytes(8) + (0x3000).to_bytes(8, "little") * 2

    def written(arena_pages: int, pages: range | None) -> str:
        writer = DumpWriter().process(1).auxv(phdr=1).segment(arena, header.ljust(arena_pages * 4096, b"\0"))
        writer.library("/usr/share/dotnet/libcoreclr.so", 0x7F0000000000, pages=pages, g_dacTable=0x1000)
        return open_core(writer.thread(1).write(tmp_path / "core")).kind

    assert written(3, None) == "createdump (full)"
    assert written(3, range(1)) == "createdump (heap)"
    assert written(1, range(1)) == "createdump (mini)"


def test_gaps_between_segments_are_no_lacking_bytes(tmp_path: Path) -> None:
    """The loader maps the whole span of an image from its file and takes all rights from the gaps; arm64 links segments 64 KB apart."""
    path = "/usr/share/dotnet/libcoreclr.so"
    writer = DumpWriter().process(1).auxv(phdr=1).library(path, 0x7F0000000000, g_dacTable=0x1000)
    end = max(stop for _, stop, _, name in writer.files if name == path)
    writer.files.append((end, end + 0x10000, 1, path))
    assert open_core(writer.thread(1).write(tmp_path / "core")).kind == "createdump (full)"


def test_program_headers_past_65534(tmp_path: Path) -> None:
    core = open_core(DumpWriter(extended_count=True).segment(0x1000, b"abcd").thread(5).write(tmp_path / "core"))
    assert core.memory.bytes(0x1000, 4) == b"abcd"
    assert core.threads[0].os_id == 5


def test_memory_that_was_not_dumped_is_unreadable(tmp_path: Path) -> None:
    core = open_core(DumpWriter().segment(0x1000, b"abcdefgh", memory_size=0x1000).write(tmp_path / "core"))
    assert core.memory.u64(0x1000) == int.from_bytes(b"abcdefgh", "little")
    assert core.resident_bytes == 8
    with pytest.raises(Unreadable) as caught:
        core.memory.u64(0x1001)
    assert (caught.value.address, caught.value.size_bytes) == (0x1001, 8)


def test_truncation_says_what_is_missing(tmp_path: Path) -> None:
    path = DumpWriter().segment(0x10000, b"a" * 0x2000).segment(0x20000, b"b" * 0x1000).write(tmp_path / "core")
    whole = path.read_bytes()
    assert open_core(path).truncation is None
    path.write_bytes(whole[: -0x1000 - 0x800])
    core = open_core(path)
    assert core.truncation is not None
    assert core.truncation.first_missing_address == 0x11800
    assert core.truncation.missing_bytes == 0x1800
    assert core.truncation.segments_cut == 2
    assert (core.truncation.expected_size_bytes, core.truncation.actual_size_bytes) == (len(whole), len(whole) - 0x1800)
    assert core.memory.bytes(0x10000, 0x1800) == b"a" * 0x1800
    assert core.resident_bytes == 0x1800
    with pytest.raises(Unreadable):
        core.memory.u8(0x11800)
    with pytest.raises(Unreadable):
        core.memory.u8(0x20000)


def test_a_core_without_segments_is_refused(tmp_path: Path) -> None:
    data = bytearray(DumpWriter().segment(0x1000, b"x").data())
    data[56:58] = b"\0\0"
    (tmp_path / "core").write_bytes(data)
    with pytest.raises(DumpError, match="without segments"):
        open_core(tmp_path / "core")
