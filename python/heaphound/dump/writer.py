"""Who wrote a core, as far as its bytes show it: createdump (and which of its modes), the kernel, or gdb's gcore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heaphound.dump.elf_image import read_headers
from heaphound.dump.glibc import find_arena_heaps
from heaphound.dump.memory import Memory
from heaphound.dump.notes import NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO, MappedFile
from heaphound.dump.ranges import Ranges, resident_ranges
from heaphound.errors import Malformed, Unreadable

if TYPE_CHECKING:
    from heaphound._core import Image

# createdump adds a page of its own at this address, which no process can map
# (src/coreclr/debug/createdump/specialdiaginfo.h; from .NET 7 on).
DIAGNOSTIC_PAGE = 0x7FFFFFF10000
_UNUSED_STACK = 32 << 10  # bytes below the stack pointer: past the red zone and what createdump rounds to pages
_DIAGNOSTIC_SIGNATURE = b"DIAGINFOHEADER"


@dataclass(frozen=True, slots=True)
class Writer:
    """`program`: "createdump", "kernel", "gcore", "qemu-user" or "unknown". `mode`: createdump's "full", "heap" or "mini" (normal and
    triage cannot be told apart), None where the bytes do not show it. `evidence` says why, in words."""

    program: str
    mode: str | None
    evidence: str

    def __str__(self) -> str:
        return self.program if self.mode is None else f"{self.program} ({self.mode})"


def find_writer(image: Image, order: Sequence[tuple[str, int]], files: Sequence[MappedFile], stack_pointers: Sequence[int] = ()) -> Writer:
    """Judge by createdump's own page, else by the order of the notes, which each writer fixes in its source."""
    if image.readable_bytes(DIAGNOSTIC_PAGE, 16) == 16 and image.read(DIAGNOSTIC_PAGE, 14) == _DIAGNOSTIC_SIGNATURE:
        mode, why = _createdump_mode(image, files, stack_pointers)
        return Writer("createdump", mode, f"its diagnostics page is there; {why}")
    kinds = [kind for owner, kind in order if owner == "CORE"]
    if kinds[:3] == [NT_PRPSINFO, NT_AUXV, NT_FILE]:
        # dumpwriter.cpp: process info, auxv, mapped files, then the threads
        mode, why = _createdump_mode(image, files, stack_pointers)
        return Writer("createdump", mode, f"the notes are in createdump's order; {why}")
    if kinds[:2] == [NT_PRSTATUS, NT_PRPSINFO] and NT_SIGINFO in kinds[2:4]:
        return Writer("kernel", None, "the notes are in the order of fs/binfmt_elf.c")
    if kinds[:2] == [NT_PRPSINFO, NT_PRSTATUS] and NT_AUXV in kinds:
        return Writer("gcore", None, "the notes are in the order of gdb's gcore")
    if kinds[:3] == [NT_PRSTATUS, NT_PRPSINFO, NT_AUXV] and not set(kinds[3:]) - {NT_PRSTATUS}:
        return Writer("qemu-user", None, "the notes are in the order of linux-user/elfload.c, and there are no others")
    return Writer("unknown", None, "the order of the notes is that of no known writer")


def _createdump_mode(image: Image, files: Sequence[MappedFile], stack_pointers: Sequence[int]) -> tuple[str | None, str]:
    """Full: libcoreclr is there byte by byte. Heap: not that, but whole heaps of malloc, which the smaller modes cut to single pages.

    Where no heap of malloc shows, stacks do: the smaller modes hold only their used part, all others the mappings that they lie in.
    """
    mappings = [file for file in files if file.path.rsplit("/", 1)[-1] == "libcoreclr.so"]
    if not mappings:
        return None, "no libcoreclr.so is mapped, so its mode does not show"
    resident = resident_ranges(image)
    parts = _readable_parts(image, mappings)
    size = sum(end - start for start, end in parts)
    present = sum(resident.overlap(start, end) for start, end in parts)
    if present == size:
        return "full", "all mapped bytes of libcoreclr.so are there"
    found = f"of libcoreclr.so {present} of {size} bytes are there"
    heaps = find_arena_heaps(Memory(image), resident)
    if not heaps and stack_pointers and not any(resident.covers(sp - _UNUSED_STACK, sp - _UNUSED_STACK + 1) for sp in stack_pointers):
        return "mini", f"{found}, and nothing below the stack pointers of its threads"
    if not heaps:
        return None, f"{found}, and malloc's arenas, by which the smaller modes differ, are not found"
    whole = sum(resident.covers(heap.start, heap.end) for heap in heaps)
    if whole == len(heaps):
        return "heap", f"{found}, and all of malloc's {len(heaps)} arena heaps"
    return "mini", f"{found}, and {whole} of malloc's {len(heaps)} arena heaps"


def _readable_parts(image: Image, mappings: Sequence[MappedFile]) -> list[tuple[int, int]]:
    """The mappings without the gaps between segments, which no process can read; as they are where the headers do not tell."""
    base, memory = mappings[0].start, Memory(image)
    try:
        headers = read_headers(lambda offset, size: memory.bytes(base + offset, size), f"{base:#x}")
    except (Unreadable, Malformed):
        headers = None
    whole = [(file.start, file.end) for file in mappings]
    if headers is None:
        return whole
    pages = Ranges(headers.file_pages(base))
    return [part for start, end in whole for part in pages.within(start, end)] or whole
