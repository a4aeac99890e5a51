"""The notes of a core: threads, mapped files, auxiliary vector, process facts, signal.

Note types and structures: include/uapi/linux/elf.h and fs/binfmt_elf.c of Linux; createdump writes a subset of them
(src/coreclr/debug/createdump/dumpwriterelf.cpp of dotnet/runtime).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heaphound.dump.cursor import Cursor
from heaphound.dump.registers import ThreadRegisters, parse_prstatus
from heaphound.errors import LimitExceeded
from heaphound.limits import LIMITS

if TYPE_CHECKING:
    from heaphound._core import Image

NT_PRSTATUS, NT_PRPSINFO, NT_AUXV, NT_SIGINFO, NT_FILE = 1, 3, 6, 0x53494749, 0x46494C45


@dataclass(frozen=True, slots=True)
class Note:
    """One note: owner ("CORE", "LINUX", ...), type number, data, and the file offset of the data."""

    owner: str
    kind: int
    data: bytes = field(repr=False)
    offset: int


@dataclass(frozen=True, slots=True)
class MappedFile:
    """One mapping of a file, as NT_FILE lists them; `file_offset` is in bytes."""

    start: int
    end: int
    file_offset: int
    path: str


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What NT_PRPSINFO says. `command` is the kernel's 15-character name, `arguments` the first 79 characters of the command line.

    Both can hold secrets. None: no such note.
    """

    pid: int | None
    parent_pid: int | None
    command: str | None
    arguments: str | None


@dataclass(frozen=True, slots=True)
class Signal:
    """What NT_SIGINFO of the first thread says; `address` is the faulting address, meant for SIGSEGV, SIGBUS, SIGILL, SIGFPE only."""

    number: int
    code: int
    address: int


@dataclass(frozen=True, slots=True)
class Notes:
    """All decoded notes, `order` being the note types in file order (it tells the writers apart)."""

    threads: list[ThreadRegisters]
    files: list[MappedFile]
    auxv: dict[int, int]
    process: ProcessFacts
    signal: Signal | None
    order: list[tuple[str, int]]


def read_notes(image: Image) -> Notes:
    """Decode every note segment of `image`. Raises `Malformed` with the file offset, `Unreadable` when the file ends before."""
    threads: list[ThreadRegisters] = []
    files: list[MappedFile] = []
    auxv: dict[int, int] = {}
    process = ProcessFacts(None, None, None, None)
    signal: Signal | None = None
    order: list[tuple[str, int]] = []
    for offset, size in image.notes:
        if size > LIMITS.notes_bytes:
            raise LimitExceeded(f"a note segment at file offset {offset:#x} of {size} bytes is above the bound of {LIMITS.notes_bytes}")
        for note in parse_notes(image.file_bytes(offset, size), offset):
            order.append((note.owner, note.kind))
            if note.owner != "CORE":
                continue
            if note.kind == NT_PRSTATUS:
                threads.append(parse_prstatus(note.data, image.machine, note.offset))
            elif note.kind == NT_FILE:
                files.extend(parse_files(note.data, note.offset))
            elif note.kind == NT_AUXV:
                auxv.update(parse_auxv(note.data, note.offset))
            elif note.kind == NT_PRPSINFO:
                process = parse_prpsinfo(note.data, note.offset)
            elif note.kind == NT_SIGINFO and signal is None:
                signal = parse_siginfo(note.data, note.offset)
    if len(threads) > LIMITS.threads:
        raise LimitExceeded(f"{len(threads)} threads are above the bound of {LIMITS.threads}")
    return Notes(threads, sorted(files, key=lambda file: file.start), auxv, process, signal, order)


def parse_notes(data: bytes, base: int, alignment: int = 4) -> Iterator[Note]:
    """The notes in `data`, which starts at file offset `base`; name and data are padded to `alignment`. Raises `Malformed`."""
    cursor = Cursor(data, what="note", base=base)
    count = 0
    while cursor.remaining > 0:
        if cursor.remaining < 12 and not any(data[cursor.position :]):
            return  # padding at the end of the segment
        count += 1
        if count > LIMITS.note_count:
            raise LimitExceeded(f"more than {LIMITS.note_count} notes in the segment at file offset {base:#x}")
        name_size, data_size, kind = cursor.u32(), cursor.u32(), cursor.u32()
        owner = cursor.take(name_size).rstrip(b"\0").decode("latin-1")
        cursor.align(alignment)
        start = cursor.position
        payload = cursor.take(data_size)
        cursor.align(alignment)
        yield Note(owner, kind, payload, base + start)


def parse_files(data: bytes, base: int) -> list[MappedFile]:
    """The mappings of an NT_FILE note: count, page size, then (start, end, offset in pages) each, then the paths."""
    cursor = Cursor(data, what="NT_FILE", base=base)
    count, page_size = cursor.u64(), cursor.u64()
    if count > LIMITS.mapped_files:
        raise LimitExceeded(f"NT_FILE at file offset {base:#x} lists {count} mappings, at most {LIMITS.mapped_files}")
    if count * 24 > cursor.remaining:
        raise cursor.malformed(f"{count} mappings do not fit in the note")
    rows = [(cursor.u64(), cursor.u64(), cursor.u64()) for _ in range(count)]
    mappings = []
    for start, end, page in rows:
        if end < start:
            raise cursor.malformed(f"a mapping ends at {end:#x}, before its start {start:#x}")
        if page * page_size >> 63:
            raise cursor.malformed(f"a mapping begins at page {page} of {page_size} bytes in its file")
        mappings.append(MappedFile(start, end, page * page_size, cursor.text(LIMITS.path_bytes)))
    return mappings


def parse_auxv(data: bytes, base: int) -> dict[int, int]:
    """The auxiliary vector: AT_* number to value, up to AT_NULL."""
    cursor = Cursor(data, what="NT_AUXV", base=base)
    entries: dict[int, int] = {}
    while cursor.remaining >= 16 and len(entries) < LIMITS.auxv_entries:
        key, value = cursor.u64(), cursor.u64()
        if key == 0:
            break
        entries[key] = value
    return entries


def parse_prpsinfo(data: bytes, base: int) -> ProcessFacts:
    """`struct elf_prpsinfo` of 64-bit Linux: pid at 24, parent at 28, name of 16 bytes at 40, arguments of 80 bytes at 56."""
    cursor = Cursor(data, what="NT_PRPSINFO", base=base, position=24)
    pid, parent = cursor.u32(), cursor.u32()
    cursor.position = 40
    command, arguments = cursor.take(16), cursor.take(80)
    return ProcessFacts(pid, parent, _fixed_text(command), _fixed_text(arguments))


def parse_siginfo(data: bytes, base: int) -> Signal:
    """The start of `siginfo_t`: number, errno, code, and the address union at 16."""
    cursor = Cursor(data, what="NT_SIGINFO", base=base)
    number, _, code = cursor.i32(), cursor.i32(), cursor.i32()
    cursor.position = 16
    return Signal(number, code, cursor.u64())


def _fixed_text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape").rstrip()
