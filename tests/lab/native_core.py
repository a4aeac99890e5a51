"""A core of a real native process, written here as the kernel would: /proc tells the mappings, /proc/PID/mem the bytes.

No debugger and no core_pattern is needed, so the test is the same on every machine.
"""

import struct
import subprocess
import time
from pathlib import Path

NT_PRPSINFO, NT_AUXV, NT_FILE = 3, 6, 0x46494C45
PAGE = 4096


def native_core(directory: Path) -> Path:
    """Run `sleep`, write its core, end it."""
    with subprocess.Popen(["sleep", "300"]) as process:
        try:
            wait_for_library(process.pid)
            return write_core(process.pid, directory / "sleep.core")
        finally:
            process.kill()


def wait_for_library(process_id: int) -> None:
    """Until the dynamic loader has mapped libc, there is no process worth a core."""
    for _ in range(200):
        if "libc" in Path(f"/proc/{process_id}/maps").read_text():
            return
        time.sleep(0.02)
    raise AssertionError("sleep did not start within 4 s")


def write_core(process_id: int, path: Path) -> Path:
    ranges, files = mappings(process_id)
    notes = note(
        NT_PRPSINFO, bytes(24) + struct.pack("<i", process_id) + bytes(12) + b"sleep".ljust(16, b"\0") + b"sleep 300".ljust(80, b"\0")
    )
    notes += note(NT_AUXV, Path(f"/proc/{process_id}/auxv").read_bytes()) + note(NT_FILE, file_note(files))
    data_offset = -(-(64 + 56 * (len(ranges) + 1) + len(notes)) // PAGE) * PAGE
    headers = struct.pack("<IIQQQQQQ", 4, 0, 64 + 56 * (len(ranges) + 1), 0, 0, len(notes), 0, 4)
    contents, offset = [], data_offset
    with open(f"/proc/{process_id}/mem", "rb") as memory:
        for start, end, flags in ranges:
            memory.seek(start)
            contents.append(memory.read(end - start))
            headers += struct.pack("<IIQQQQQQ", 1, flags, offset, start, 0, end - start, end - start, PAGE)
            offset += end - start
    identity = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(ranges) + 1, 0, 0, 0)
    path.write_bytes((header + headers + notes).ljust(data_offset, b"\0") + b"".join(contents))
    return path


def mappings(process_id: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int, str]]]:
    """Readable ranges with their ELF flags, and the mapped files (start, end, page offset, path)."""
    ranges, files = [], []
    for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
        span, permissions, offset, _, _, *name = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in span.split("-"))
        if permissions[0] == "r" and name not in (["[vvar]"], ["[vsyscall]"], ["[vvar_vclock]"]):
            ranges.append((start, end, 4 | 2 * (permissions[1] == "w") | (permissions[2] == "x")))
        if name and name[0].startswith("/"):
            files.append((start, end, int(offset, 16) // PAGE, name[0]))
    return ranges, files


def note(kind: int, content: bytes) -> bytes:
    return struct.pack("<III", 5, len(content), kind) + b"CORE\0\0\0\0" + content.ljust(-(-len(content) // 4) * 4, b"\0")


def file_note(files: list[tuple[int, int, int, str]]) -> bytes:
    """NT_FILE as fs/binfmt_elf.c of Linux writes it."""
    table = b"".join(struct.pack("<QQQ", start, end, page) for start, end, page, _ in files)
    return struct.pack("<QQ", len(files), PAGE) + table + b"".join(path.encode() + b"\0" for *_, path in files)
