"""A core file, opened: its memory, threads, mapped files and process facts. Knows nothing of .NET."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from heaphound._core import Image
from heaphound.dump.compressed import decompress_to_cache
from heaphound.dump.file_check import check_core_header, inspect_file
from heaphound.dump.memory import Memory
from heaphound.dump.notes import MappedFile, ProcessFacts, Signal, read_notes
from heaphound.dump.ranges import resident_ranges
from heaphound.dump.registers import Machine, ThreadRegisters
from heaphound.dump.split_parts import following_part
from heaphound.dump.truncation import Truncation, find_truncation
from heaphound.dump.writer import Writer, find_writer
from heaphound.errors import DumpError, Unreadable
from heaphound.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Core:
    """An opened core. `path` is the file as given; `image.path` is the cache file when that was compressed.

    `threads` are in file order: the first is the one that crashed, where the writer knew. `files` is ascending by
    address. `truncation` is None for a whole file; `signal` is None where the writer did not record one.
    """

    path: str
    image: Image = field(repr=False)
    memory: Memory = field(repr=False)
    machine: Machine
    threads: list[ThreadRegisters] = field(repr=False)
    files: list[MappedFile] = field(repr=False)
    auxv: dict[int, int] = field(repr=False)
    process: ProcessFacts = field(repr=False)
    signal: Signal | None
    truncation: Truncation | None
    writer: Writer

    @property
    def kind(self) -> str:
        """What wrote the file, in a word or two: "createdump (full)", "kernel", "gcore", "qemu-user", "unknown"."""
        return str(self.writer)

    @property
    def resident_bytes(self) -> int:
        """Memory of the process that the file holds, in bytes; what was cut off, or attached from other files, does not count."""
        return resident_ranges(self.image).size_bytes


def open_core(path: str | Path, *, progress: Progress = silent, cache_directory: Path | None = None) -> Core:
    """Open an ELF core of x64 or arm64 Linux, plain or compressed with zstd, gzip, xz or lz4 (known by content, not name).

    A compressed one is decompressed once into `cache_directory` (default `$XDG_CACHE_HOME/heaphound`). The file is
    mapped, never read whole. Raises `DumpError` with one sentence for everything that is no such file or is cut inside
    its headers or notes, `Malformed` for notes that make no sense. A file cut later opens, with `truncation` set.
    """
    given = os.fspath(path)
    facts = inspect_file(given)
    if facts.compression is None:
        plain = given
        check_core_header(facts, given)
    else:
        unpacked = decompress_to_cache(facts, progress=progress, cache_directory=cache_directory)
        plain = str(unpacked)
        try:
            check_core_header(inspect_file(plain), given)
        except DumpError:
            unpacked.unlink(missing_ok=True)  # of no use to anyone, and it may be large
            raise
    image = Image.open(plain)
    try:
        notes = read_notes(image)
    except Unreadable:
        raise DumpError(
            f"{given} is cut short inside its notes ({image.file_size_bytes} of {image.expected_size_bytes} bytes): "
            f"copy the whole dump again"
        ) from None
    return Core(
        path=given,
        image=image,
        memory=Memory(image),
        machine="x64" if image.machine == "x64" else "arm64",
        threads=notes.threads,
        files=notes.files,
        auxv=notes.auxv,
        process=notes.process,
        signal=notes.signal,
        truncation=find_truncation(image, following_part(given)),
        writer=find_writer(image, notes.order, notes.files, [thread.stack_pointer for thread in notes.threads]),
    )
