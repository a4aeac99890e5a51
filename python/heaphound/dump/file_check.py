"""What a path given as a dump is: a plain core, a compressed one, or something to refuse with one sentence."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from struct import unpack_from

from heaphound.dump.split_parts import JOIN, preceding_part
from heaphound.errors import DumpError

ELF_MAGIC = b"\x7fELF"
_HEADER_SIZE, _PROGRAM_HEADER_SIZE = 64, 56
_ET_NAMES = {1: "an object file", 2: "an executable", 3: "a shared library or executable"}
_MACHINES = {
    3: "i386",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "s390x",
    40: "arm32",
    62: "x64",
    183: "arm64",
    243: "RISC-V",
    258: "LoongArch",
}
_READABLE_MACHINES = (62, 183)
_PN_XNUM = 0xFFFF
_COPY_AGAIN = "copy the whole dump again, or raise the core size limit (ulimit -c) and take a new one"

# First bytes of what people give by mistake, or what a core is compressed with.
_COMPRESSED = {b"\x28\xb5\x2f\xfd": "zst", b"\x1f\x8b": "gz", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "lz4"}
_FOREIGN = {
    b"MDMP": "a Windows minidump; heaphound reads ELF cores of Linux",
    b"PAGEDU64": "a Windows kernel dump; heaphound reads ELF cores of Linux processes",
    b"\xcf\xfa\xed\xfe": "a Mach-O file of macOS; heaphound reads ELF cores of Linux",
    b"PK\x03\x04": "a zip archive; unpack it and give the core that is in it",
    b"BZh": "compressed with bzip2; unpack it first (bunzip2)",
    b"KDUMP   ": "a kernel crash dump; heaphound reads cores of processes",
    b"MZ": "a PE image (a .dll or .exe); give a core dump",
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A regular, readable, non-empty file: its first bytes and the `os.stat_result` they belong to."""

    path: str
    status: os.stat_result
    head: bytes

    @property
    def compression(self) -> str | None:
        """The format by the first bytes: "zst", "gz", "xz" or "lz4" by the first bytes; None for anything else; the name plays no part."""
        for magic, name in _COMPRESSED.items():
            if self.head.startswith(magic):
                return name
        skippable_frame = len(self.head) >= 4 and 0x184D2A50 <= unpack_from("<I", self.head)[0] <= 0x184D2A5F
        return "zst" if skippable_frame else None  # pzstd begins its files with such a frame


def inspect_file(path: str) -> FileFacts:
    """Look at `path` without opening anything but a regular file. Raises `DumpError`."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise DumpError(f"{path} is a directory: give the core file in it")
        if not stat.S_ISREG(status.st_mode):
            raise DumpError(f"{path} is {_special(status.st_mode)}, not a file: write the core to a file first and give that")
        with open(path, "rb") as file:
            head = file.read(_HEADER_SIZE)
    except FileNotFoundError:
        raise DumpError(f"{path} does not exist: check the path") from None
    except PermissionError:
        raise DumpError(f"{path} may not be read by this user: change its permissions or run as its owner") from None
    except OSError as error:
        raise DumpError(f"{path} cannot be opened ({error.strerror}): check the path and the file system") from None
    except ValueError:
        raise DumpError(f"{path!r} is no path: it has a zero byte in it") from None
    if status.st_size == 0:
        raise DumpError(f"{path} is empty: the dump was not written (disk full or core size limit 0?); take a new one")
    return FileFacts(path, status, head)


def check_core_header(facts: FileFacts, path: str) -> None:
    """Check that the file is a 64-bit little-endian core of a machine that is read. Raises `DumpError`, which names it `path`."""
    head = facts.head
    if not head.startswith(ELF_MAGIC):
        before = preceding_part(path)
        hint = f"; {before} may be the part before it: {JOIN}" if before else ""
        raise DumpError(f"{path} is not a core dump: it is {_what_else(head)}{hint}")
    if len(head) < _HEADER_SIZE:
        raise DumpError(f"{path} is cut short inside its ELF header ({len(head)} bytes of {_HEADER_SIZE}): {_COPY_AGAIN}")
    byte_class, byte_order = head[4], head[5]
    if byte_order != 1:
        raise DumpError(f"{path} is a big-endian ELF file: only little-endian x64 and arm64 cores are read")
    kind, machine = unpack_from("<HH", head, 16)
    name = _MACHINES.get(machine, f"machine {machine}")
    if kind != 4:
        raise DumpError(
            f"{path} is {_ET_NAMES.get(kind, f'an ELF file of type {kind}')} ({name}), not a core dump: give the core that the process left"
        )
    if byte_class != 2:
        raise DumpError(f"{path} is a core of a 32-bit process ({name}): only x64 and arm64 cores are read")
    if machine not in _READABLE_MACHINES:
        raise DumpError(f"{path} is a core of a {name} process: only x64 and arm64 cores are read")
    _check_program_headers(facts, path)


def _check_program_headers(facts: FileFacts, path: str) -> None:
    table, section_table = unpack_from("<QQ", facts.head, 32)
    entry_size, count = unpack_from("<HH", facts.head, 54)
    if count == _PN_XNUM:
        count = _extended_count(facts, path, section_table)
    if count == 0:
        raise DumpError(f"{path} is a core without segments: it holds no memory; take a new one")
    if entry_size != _PROGRAM_HEADER_SIZE:
        raise DumpError(
            f"{path} has program headers of {entry_size} bytes, 64-bit ELF has {_PROGRAM_HEADER_SIZE}: the file is damaged; {_COPY_AGAIN}"
        )
    end = table + count * entry_size
    if end > facts.status.st_size:
        raise DumpError(f"{path} is cut short inside its program headers ({facts.status.st_size} bytes, they end at {end}): {_COPY_AGAIN}")


def _extended_count(facts: FileFacts, path: str, section_table: int) -> int:
    """The number of program headers past 65,534: `sh_info` of section header 0 (PN_XNUM in elf(5))."""
    if section_table == 0 or section_table + 64 > facts.status.st_size:
        raise DumpError(
            f"{path} is cut short: the section header at {section_table} that counts its segments is past its end "
            f"({facts.status.st_size} bytes); {_COPY_AGAIN}"
        )
    with open(facts.path, "rb") as file:
        file.seek(section_table)
        section = file.read(64)
    if len(section) < 64:
        raise DumpError(f"{path} became shorter while it was read: wait until the dump is written, then try again")
    return int(unpack_from("<I", section, 44)[0])


def _what_else(head: bytes) -> str:
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            return what
    shown = " ".join(f"{byte:02x}" for byte in head[:8])
    return f"no ELF file (it begins with {shown}); give the file that createdump, gcore or the kernel wrote"


def _special(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISBLK, "a block device"), (stat.S_ISCHR, "a character device"))
    return next((name for test, name in kinds if test(mode)), "a special file")
