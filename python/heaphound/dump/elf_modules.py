"""The ELF images that the process had loaded: path, place, build-id, dynamic symbols."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from heaphound.dump.core import Core
from heaphound.dump.elf_image import PF_EXECUTE, PT_DYNAMIC, ElfHeaders, read_build_id, read_headers
from heaphound.dump.elf_symbols import DynamicSymbols, read_dynamic_symbols
from heaphound.dump.memory import Memory
from heaphound.dump.notes import MappedFile
from heaphound.errors import Malformed, Unreadable


@dataclass(frozen=True, slots=True)
class ElfModule:
    """One loaded image: `base` is the address of its ELF header, `end` that of the last mapping of its file (its .bss may go on).

    `build_id` is hexadecimal; None when the image has none or the dump lacks the page (`headers` None says the latter of
    the first page). `mappings` are the parts of the file that were mapped.
    """

    path: str
    base: int
    end: int
    build_id: str | None
    headers: ElfHeaders | None = field(repr=False)
    mappings: tuple[MappedFile, ...] = field(repr=False)
    memory: Memory = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The last part of the path; "libcoreclr.so". A file deleted since keeps the kernel's " (deleted)" out of it."""
        return self.path.removesuffix(" (deleted)").rsplit("/", 1)[-1]

    @property
    def bias(self) -> int:
        """What to add to a linked address. Raises `Unreadable` without the first page."""
        return self.base - self._headers().first_address

    def symbol(self, name: str) -> int | None:
        """The address of the dynamic symbol `name`; None when the image does not define it.

        Raises `Unreadable` when the dump lacks a page that the look-up needs, `Malformed` for broken tables.
        """
        symbols = self.symbols()
        return None if symbols is None else symbols.find(name)

    def symbols(self) -> DynamicSymbols | None:
        """The dynamic symbol tables, None for an image without. Raises as `symbol` does. Reads the dynamic section each time."""
        headers = self._headers()
        dynamic = headers.first(PT_DYNAMIC)
        if dynamic is None:
            return None
        span = range(self.base, max(self.end, self.base + headers.span_bytes))
        return read_dynamic_symbols(self.memory, self.bias + dynamic.address, dynamic.memory_bytes, self.bias, span)

    def _headers(self) -> ElfHeaders:
        if self.headers is None:
            raise Unreadable(self.base, 64)
        return self.headers


def is_whole(module: ElfModule, memory: Memory) -> bool:
    """Whether all pages that an image has of its file can be read; the gaps between its segments hold none (64 KB on arm64)."""
    if module.headers is None:
        return False
    return all(memory.readable(start, end - start) for start, end in module.headers.file_pages(module.base))


def has_code(module: ElfModule, memory: Memory) -> bool:
    """Whether all its code can be read. Pages of its data, which no file can stand in for once written to, may be lacking all the same."""
    if module.headers is None:
        return False
    return all(memory.readable(start, end - start) for start, end in module.headers.file_pages(module.base, PF_EXECUTE))


def elf_modules(core: Core) -> list[ElfModule]:
    """The ELF images among the mapped files, ascending by address, the vdso (if the dump has its page) among them.

    A file whose first page the dump lacks is taken for an image when its name or the core's own flags say that it held
    code; its `headers` and `build_id` are None. Malformed headers count as absent: the module is listed, its symbols raise.
    """
    modules = [module for group in group_mappings(core.files) if (module := _module(core, group)) is not None]
    vdso = core.auxv.get(_AT_SYSINFO_EHDR)
    if vdso is not None:
        modules.extend(_vdso(core, vdso))
    return sorted(modules, key=lambda module: module.base)


_AT_SYSINFO_EHDR = 33


def group_mappings(files: Iterable[MappedFile]) -> list[list[MappedFile]]:
    """Runs of mappings of one file, in address order, a run beginning at file offset 0.

    A file loaded twice gives two groups. Two mappings of offset 0 right behind each other, as the linker makes for tiny
    images, stay together.
    """
    groups: list[list[MappedFile]] = []
    latest: dict[str, list[MappedFile]] = {}
    for file in files:
        group = latest.get(file.path)
        adjacent = group is not None and file.start == group[-1].end and len(group) == 1 and file.end - file.start <= 4096
        if group is None or (file.file_offset == 0 and not adjacent):
            group = []
            groups.append(group)
            latest[file.path] = group
        group.append(file)
    return groups


def _module(core: Core, group: list[MappedFile]) -> ElfModule | None:
    first = group[0]
    headers: ElfHeaders | None = None
    readable = core.memory.readable(first.start, 4)
    if readable and core.memory.bytes(first.start, 4) != b"\x7fELF":
        return None
    if readable:
        headers = _read_headers(core.memory, first.start)
    elif not _looks_like_code(core, group):
        return None
    if headers is not None:
        # A single-file program maps its bundled assemblies out of its own file, far behind its segments: they are no part of the image.
        group = [file for file in group if file.start < first.start + max(headers.span_bytes, 1)]
    return ElfModule(
        path=first.path,
        base=first.start,
        end=group[-1].end,
        build_id=None if headers is None else _build_id(core.memory, headers, first.start),
        headers=headers,
        mappings=tuple(group),
        memory=core.memory,
    )


def _vdso(core: Core, address: int) -> list[ElfModule]:
    headers = _read_headers(core.memory, address)
    if headers is None:
        return []
    build_id = _build_id(core.memory, headers, address)
    return [ElfModule("[vdso]", address, address + headers.span_bytes, build_id, headers, (), core.memory)]


def _read_headers(memory: Memory, base: int) -> ElfHeaders | None:
    try:
        return read_headers(lambda offset, size: memory.bytes(base + offset, size), f"{base:#x}")
    except (Unreadable, Malformed):
        return None


def _build_id(memory: Memory, headers: ElfHeaders, base: int) -> str | None:
    bias = base - headers.first_address
    try:
        return read_build_id(headers, lambda address, size: memory.bytes(bias + address, size), f"{base:#x}")
    except (Unreadable, Malformed):
        return None


def _looks_like_code(core: Core, group: list[MappedFile]) -> bool:
    name = group[0].path.rsplit("/", 1)[-1]
    if name.endswith(".so") or ".so." in name:
        return True
    start, end = group[0].start, group[-1].end
    return any(
        flags & PF_EXECUTE and address < end and address + size > start for address, _, size, _, flags in core.image.segments
    ) and not name.endswith((".dll", ".exe"))
