"""Writes a tiny, valid ELF core in a test: say what the process had, get the file.

core = DumpWriter().segment(0x10000, b"hello").thread(7, rip=0x10000).write(tmp_path / "core")
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from struct import pack
from typing import Self

from heaphound.dump.registers import REGISTERS
from tests.elf_library import MACHINES, PAGE, align, elf_library, note

READ, WRITE, EXECUTE = 4, 2, 1
NT_PRSTATUS, NT_PRPSINFO, NT_AUXV, NT_SIGINFO, NT_FILE = 1, 3, 6, 0x53494749, 0x46494C45
ORDERS = {
    "createdump": ("process", "auxv", "files", "threads", "other"),
    "kernel": ("first thread", "process", "signal", "auxv", "files", "more threads", "other"),
    "qemu-user": ("first thread", "process", "auxv", "more threads"),
    "gcore": ("process", "threads", "signal", "auxv", "files", "other"),
}


@dataclass(frozen=True)
class Segment:
    """One PT_LOAD."""

    address: int
    data: bytes
    flags: int
    memory_size: int


@dataclass
class DumpWriter:
    """Collects what the process had; `data()` gives the file's bytes, `write()` writes them. Every method returns the writer."""

    machine: str = "x64"
    order: str = "createdump"
    extended_count: bool = False  # count the program headers in section header 0 (PN_XNUM)
    segments: list[Segment] = field(default_factory=list)
    threads: list[bytes] = field(default_factory=list)
    files: list[tuple[int, int, int, str]] = field(default_factory=list)
    vector: dict[int, int] = field(default_factory=dict)
    process_note: bytes = b""
    signal_note: bytes = b""
    other_notes: bytes = b""

    def segment(self, address: int, data: bytes, *, flags: int = READ | WRITE, memory_size: int | None = None) -> Self:
        """Memory with these bytes; `memory_size` beyond them was mapped and not dumped."""
        self.segments.append(Segment(address, data, flags, memory_size or len(data)))
        return self

    def thread(self, os_id: int, *, signal: int = 0, **registers: int) -> Self:
        """A thread; registers not named are 0."""
        head = pack("<iiih2xQQ4I", signal, 0, 0, signal, 0, 0, os_id, 1, 1, 1) + bytes(64)
        values = [registers.pop(name, 0) for name in REGISTERS[self.machine]]
        assert not registers, f"no registers of {self.machine}: {registers}"
        self.threads.append(note(b"CORE", NT_PRSTATUS, head + pack(f"<{len(values)}Q", *values) + bytes(8)))
        return self

    def mapped(self, path: str, start: int, end: int, file_offset: int = 0) -> Self:
        """A mapping of a file, for NT_FILE; its bytes are in the dump only if a segment has them."""
        self.files.append((start, end, file_offset, path))
        return self

    def library(self, path: str, base: int, image: bytes | None = None, *, pages: range | None = None, **symbols: int) -> Self:
        """A loaded ELF library: `image` (default: one with these symbols); only `pages` of it are in the dump if given."""
        image = elf_library(symbols, machine=self.machine) if image is None else image
        writable = len(image) - PAGE
        self.mapped(path, base, base + writable, 0)
        self.mapped(path, base + writable, base + len(image), writable)
        for page in range(len(image) // PAGE) if pages is None else pages:
            flags = READ | WRITE if page * PAGE >= writable else READ | EXECUTE
            self.segment(base + page * PAGE, image[page * PAGE : (page + 1) * PAGE], flags=flags)
        return self

    def auxv(self, **entries: int) -> Self:
        """Entries of the auxiliary vector: `phdr`, `entry`, `sysinfo_ehdr`."""
        numbers = {"phdr": 3, "pagesz": 6, "entry": 9, "sysinfo_ehdr": 33}
        self.vector.update({numbers[name]: value for name, value in entries.items()})
        return self

    def process(self, pid: int, command: str = "dotnet", arguments: str = "dotnet app.dll", parent: int = 1) -> Self:
        """Who the process was."""
        texts = command.encode().ljust(16, b"\0") + arguments.encode().ljust(80, b"\0")
        self.process_note = note(b"CORE", NT_PRPSINFO, bytes(16) + pack("<6I", 0, 0, pid, parent, 1, 1) + texts)
        return self

    def signal(self, number: int, code: int = 0, address: int = 0) -> Self:
        """The signal that ended it."""
        self.signal_note = note(b"CORE", NT_SIGINFO, pack("<iiiiQ", number, 0, code, 0, address).ljust(128, b"\0"))
        return self

    def note(self, owner: bytes, kind: int, data: bytes) -> Self:
        """Any other note."""
        self.other_notes += note(owner, kind, data)
        return self

    def notes(self) -> bytes:
        """The note segment, in the order of the writer that is imitated."""
        parts = {
            "process": self.process_note,
            "signal": self.signal_note,
            "auxv": self._auxv_note(),
            "files": self._files_note(),
            "threads": b"".join(self.threads),
            "first thread": b"".join(self.threads[:1]),
            "more threads": b"".join(self.threads[1:]),
            "other": self.other_notes,
        }
        return b"".join(parts[name] for name in ORDERS[self.order])

    def data(self) -> bytes:
        """The file: header, program headers, notes, then the segments, page by page."""
        notes = self.notes()
        count = len(self.segments) + 1
        table = 64 + (64 if self.extended_count else 0)
        notes_at = table + 56 * count
        rows = [pack("<IIQQQQQQ", 4, 0, notes_at, 0, 0, len(notes), 0, 4)]
        body, body_at = b"", -(-(notes_at + len(notes)) // PAGE) * PAGE
        for segment in sorted(self.segments, key=lambda segment: segment.address):
            place = (segment.address, segment.address, len(segment.data), segment.memory_size, PAGE)
            rows.append(pack("<IIQQQQQQ", 1, segment.flags, body_at + len(body), *place))
            body += align(segment.data, PAGE)
        head = self._header(table, count) + b"".join(rows) + notes
        return head.ljust(body_at, b"\0") + body

    def write(self, path: Path) -> Path:
        """Write the file to `path`."""
        path.write_bytes(self.data())
        return path

    def _header(self, table: int, count: int) -> bytes:
        ident = b"\x7fELF\x02\x01\x01" + bytes(9)
        shown = 0xFFFF if self.extended_count else count
        sections = (64, 1) if self.extended_count else (0, 0)
        fields = (4, MACHINES[self.machine], 1, 0, table, sections[0], 0, 64, 56, shown, 64, sections[1], 0)
        header = ident + pack("<HHIQQQIHHHHHH", *fields)
        return header + (pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0) if self.extended_count else b"")

    def _auxv_note(self) -> bytes:
        if not self.vector:
            return b""
        return note(b"CORE", NT_AUXV, b"".join(pack("<QQ", *entry) for entry in [*self.vector.items(), (0, 0)]))

    def _files_note(self) -> bytes:
        if not self.files:
            return b""
        rows = b"".join(pack("<QQQ", start, end, offset // PAGE) for start, end, offset, _ in self.files)
        names = b"".join(path.encode() + b"\0" for *_, path in self.files)
        return note(b"CORE", NT_FILE, pack("<QQ", len(self.files), PAGE) + rows + names)


def small_process(machine: str = "x64", order: str = "createdump") -> DumpWriter:
    """A process with one of everything: program, library, stack, heap, two threads."""
    names = ("rip", "rsp") if machine == "x64" else ("pc", "sp")
    writer = DumpWriter(machine, order).process(42).auxv(phdr=0x400040, pagesz=PAGE)
    writer.library("/app/program", 0x400000, elf_library({"main": 0x100}, machine=machine))
    writer.library("/lib/libnative.so", 0x7F0000000000, find_me=0x1234, and_me=0x1240)
    writer.segment(0x7FFF00000000, b"\x01" * 2 * PAGE)
    writer.segment(0x500000, b"\x02" * PAGE)
    for number in (100, 101):
        writer.thread(number, **dict(zip(names, (0x7F0000000040, 0x7FFF00000800), strict=True)))
    return writer
