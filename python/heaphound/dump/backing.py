"""Files on disk in place of mapped bytes that the core lacks, after checking that they are the same files.

Kernel cores and createdump's small modes leave out what can be read from the files that were mapped. Only what the
process could not have changed is taken: read-only mappings and, for ELF images, the pages that the loader relocated and
then protected. A file that is not the one that was mapped is refused; both are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaphound.dump.core import Core
from heaphound.dump.disk_file import DiskFile, FileFinder, NotUsable
from heaphound.dump.elf_image import PAGE, PF_WRITE, PT_GNU_RELRO, ElfHeaders
from heaphound.dump.elf_modules import ElfModule, elf_modules
from heaphound.dump.memory import Memory
from heaphound.dump.notes import MappedFile
from heaphound.dump.pe_sections import PeSection, read_pe_sections
from heaphound.dump.ranges import Ranges, resident_ranges
from heaphound.dump.relocations import read_relocations, relocate
from heaphound.errors import Malformed
from heaphound.limits import LIMITS

if TYPE_CHECKING:
    from heaphound._core import Image

_NO_FILES = (
    "/memfd:",
    "/dev/",
    "/proc/",
    "/sys/",
    "/SYSV",
    "/anon_hugepage",
    "anon_inode:",
    "[",
)  # names of memory that no file on disk holds


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file whose bytes now stand where the core had none.

    `checked_by`: "build-id", "resident bytes" (pages of it that the core holds are equal), or None: the dump holds
    nothing to check it by, so that whoever gave the file answers for it.
    """

    path: str
    file: str
    size_bytes: int
    checked_by: str | None


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was found for a mapping and not used. `reason` says why."""

    path: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class BackingReport:
    """What became of the mapped files of which the core lacks bytes; `not_found` are paths for which there was no file."""

    attached: list[AttachedFile]
    refused: list[RefusedFile]
    not_found: list[str]


def attach_binaries(
    core: Core, directories: Sequence[Path] = (), system_roots: Sequence[Path] = (), *, use_original_paths: bool = True
) -> tuple[Core, BackingReport]:
    """A core that reads absent read-only bytes of ELF and PE images from disk, and the report of what was attached and refused.

    Looked for, in this order: in each of `system_roots` the whole path, with links as the process saw them; in each of
    `directories` the whole path, then the file's name anywhere below it; the original path, where there is no system root.
    Raises `DumpError` for a directory that is none.
    """
    finder = FileFinder(directories, use_original_paths, system_roots)
    image = core.image
    report = BackingReport([], [], [])
    for job in _jobs(core):
        candidates = list(finder.candidates(job.path))
        for candidate in candidates:
            try:
                with DiskFile(candidate) as file:
                    image, outcome = _attach(job, image, file)
            except (NotUsable, Malformed) as error:
                report.refused.append(RefusedFile(job.path, str(candidate), str(error)))
                continue
            report.attached.append(outcome)
            break
        if not candidates and job.path not in report.not_found:
            report.not_found.append(job.path)
    return replace(core, image=image, memory=Memory(image)), report


@dataclass(frozen=True, slots=True)
class _Job:
    """One mapped image: `module` for an ELF image, else all mappings of one path; and what the core has of it."""

    core: Core
    path: str
    module: ElfModule | None
    mappings: Sequence[MappedFile]
    resident: Ranges
    writable: Ranges


def _jobs(core: Core) -> list[_Job]:
    """The mapped files that are, or may be, images and lack bytes in the core."""
    resident = resident_ranges(core.image)
    writable = Ranges((address, address + size) for address, _, size, _, flags in core.image.segments if flags & PF_WRITE)
    modules = [module for module in elf_modules(core) if module.mappings]
    of_modules = {mapping for module in modules for mapping in module.mappings}
    others: dict[str, list[MappedFile]] = {}
    for file in core.files:
        if file not in of_modules and not file.path.startswith(_NO_FILES):
            others.setdefault(file.path, []).append(file)
    # What a program maps of its own file as data goes with its image, by whose build-id it is checked.
    jobs = [_Job(core, module.path, module, [*module.mappings, *others.pop(module.path, ())], resident, writable) for module in modules]
    jobs.extend(_Job(core, path, None, mappings, resident, writable) for path, mappings in others.items())
    return [job for job in jobs if _lacks_bytes(job)]


def _lacks_bytes(job: _Job) -> bool:
    """Whether the core lacks bytes of the mappings; the gaps between an image's segments hold none."""
    if job.module is None or job.module.headers is None:
        return not all(job.resident.covers(mapping.start, mapping.end) for mapping in job.mappings)
    pages = Ranges(job.module.headers.file_pages(job.module.base))
    of_image = set(job.module.mappings)
    spans = [part for mapping in of_image for part in pages.within(mapping.start, mapping.end)]
    spans += [(mapping.start, mapping.end) for mapping in job.mappings if mapping not in of_image]
    return not all(job.resident.covers(start, end) for start, end in spans)


def _attach(job: _Job, image: Image, file: DiskFile) -> tuple[Image, AttachedFile]:
    headers = file.headers()
    relocated: list[tuple[int, bytes]] = []
    if headers is None:
        sections = read_pe_sections(file)
        if sections is None or job.module is not None:
            raise NotUsable("it is neither an ELF nor a PE image" if job.module is None else "it is no ELF image, the mapped file was one")
        checked_by = _check_identity(job, file, None)
        mappings = _read_only_mappings(job, file, sections)
    elif job.module is None:
        raise NotUsable("it is an ELF image, of which the process mapped no segments")
    else:
        checked_by = _check_identity(job, file, headers)
        mappings = [*_read_only_loads(job, headers), *_data_mappings(job, headers)]
        relocated = _relocated_pages(job, headers, file)
    mappings = [(start, min(size, file.size_bytes - offset), offset) for start, size, offset in mappings if offset < file.size_bytes]
    spans = [(start, start + size) for start, size, _ in mappings] + [(start, start + len(data)) for start, data in relocated]
    added = sum(end - start - job.resident.overlap(start, end) for start, end in spans)
    if added <= 0:
        raise NotUsable("it holds none of the bytes that the core lacks")
    image = image.with_backing(file.path, mappings)
    for address, data in relocated:
        image = image.with_bytes(address, data)
    return image, AttachedFile(job.path, str(file.path), added, checked_by)


def _check_identity(job: _Job, file: DiskFile, headers: ElfHeaders | None) -> str | None:
    """How the file was recognised as the mapped one. Raises `NotUsable` when it is another."""
    if headers is not None and job.module is not None and job.module.build_id is not None:
        build_id = file.build_id(headers)
        if build_id != job.module.build_id:
            raise NotUsable(f"its build-id is {build_id or 'absent'}, that of the mapped file {job.module.build_id}")
        return "build-id"
    beyond = max(mapping.file_offset + mapping.end - mapping.start for mapping in job.mappings)
    if beyond - file.size_bytes >= PAGE:
        raise NotUsable(f"it has {file.size_bytes} bytes, the mapped file had more than {beyond - PAGE}")
    return "resident bytes" if _equal_pages(job, file) else None


def _equal_pages(job: _Job, file: DiskFile) -> int:
    """How many read-only pages of the mapping the core holds, all of them equal to the file's. Raises `NotUsable` on the first other."""
    compared = 0
    for mapping in job.mappings:
        for start, end in job.resident.within(mapping.start, mapping.end):
            for page in range(-(-start // PAGE) * PAGE, end - PAGE + 1, PAGE):
                offset = mapping.file_offset + page - mapping.start
                if job.writable.overlap(page, page + PAGE) or offset + PAGE > file.size_bytes:
                    continue
                if file.read(offset, PAGE) != job.core.memory.bytes(page, PAGE):
                    raise NotUsable(f"its bytes at {offset:#x} differ from those in the core at {page:#x}")
                compared += 1
                if compared == LIMITS.compared_pages:
                    return compared
    return compared


def _read_only_mappings(job: _Job, file: DiskFile, sections: Sequence[PeSection]) -> list[tuple[int, int, int]]:
    """(address, size, file offset) of the mappings of a PE image that the process could not write.

    The runtime maps an image flat (the whole file, read-only) or its headers and then section by section; a section's mapping
    begins at the page of the file in which its bytes begin (PEImageLayout of dotnet/runtime, src/coreclr/vm/peimagelayout.cpp).
    Several can begin in one page of the file, that of the headers too (assemblies of 3.1): the place in memory tells them apart.
    """
    written = {_page(section.file_offset) for section in sections if section.writable}
    placed = _placed_parts(job, sections)
    found = []
    for mapping in job.mappings:
        size = mapping.end - mapping.start
        flat = mapping.file_offset == 0 and size >= file.size_bytes
        writable = placed.get((mapping.start, mapping.file_offset), mapping.file_offset in written)
        if flat or (not writable and not job.writable.overlap(mapping.start, mapping.end)):
            found.append((mapping.start, size, mapping.file_offset))
    return found


def _placed_parts(job: _Job, sections: Sequence[PeSection]) -> dict[tuple[int, int], bool]:
    """(address, file offset) of the headers and sections of each image that was mapped part by part, to whether it could be written.

    A mapping of the file's first page is one of headers where a section is mapped at its distance from there.
    """
    mapped = {(mapping.start, mapping.file_offset) for mapping in job.mappings}
    parts: dict[tuple[int, int], bool] = {}
    for base in sorted(mapping.start for mapping in job.mappings if mapping.file_offset == 0):
        if (base, 0) in parts:  # a section of the image before
            continue
        of_image = {(base + _page(section.address), _page(section.file_offset)): section.writable for section in sections}
        if mapped & of_image.keys():
            parts |= {(base, 0): False, **of_image}
    return parts


def _page(address: int) -> int:
    """The start of the page."""
    return address & ~(PAGE - 1)


def _read_only_loads(job: _Job, headers: ElfHeaders) -> list[tuple[int, int, int]]:
    """(address, size, file offset) of the segments that the process could not write, whole pages as the loader maps them."""
    bias = job.mappings[0].start - headers.first_address
    found = []
    for load in headers.loads:
        if load.flags & PF_WRITE or not load.file_bytes:
            continue
        start = load.address & ~(PAGE - 1)
        end = -(-(load.address + load.file_bytes) // PAGE) * PAGE
        found.append((bias + start, end - start, load.offset - (load.address - start)))
    return found


def _data_mappings(job: _Job, headers: ElfHeaders) -> list[tuple[int, int, int]]:
    """(address, size, file offset) of what the process mapped of the same file as data: the assemblies in a single-file program."""
    end = job.mappings[0].start + headers.span_bytes
    return [
        (mapping.start, mapping.end - mapping.start, mapping.file_offset)
        for mapping in job.mappings
        if mapping.start >= end and not job.writable.overlap(mapping.start, mapping.end)
    ]


def _relocated_pages(job: _Job, headers: ElfHeaders, file: DiskFile) -> list[tuple[int, bytes]]:
    """The pages that the loader protected after relocating them, relocated again; unknown words are left out."""
    protected = headers.first(PT_GNU_RELRO)
    if protected is None:
        return []
    bias = job.mappings[0].start - headers.first_address
    load = next((load for load in headers.loads if load.address <= protected.address < load.address + load.file_bytes), None)
    if load is None:
        return []
    end = min(protected.address + protected.memory_bytes, load.address + load.file_bytes)
    if job.resident.covers(bias + protected.address, bias + end):
        return []
    relocations = read_relocations(headers, lambda address, size: file.read_linked(headers, address, size), str(file.path))
    data = file.read_linked(headers, protected.address, end - protected.address)
    return [(bias + address, piece) for address, piece in relocate(data, protected.address, bias, relocations)]
