"""What a core itself tells of its address ranges, without any knowledge of .NET."""

from __future__ import annotations

from collections.abc import Iterator

from heaphound.dump.core import Core
from heaphound.dump.elf_image import PF_WRITE
from heaphound.dump.elf_modules import ElfModule, elf_modules
from heaphound.dump.glibc import find_arena_heaps, is_main_heap, mapped_chunks
from heaphound.dump.musl import find_musl_heap
from heaphound.dump.ranges import Range, Ranges, resident_ranges
from heaphound.dump.region import (
    DUMP_WRITER,
    FILE_MAPS,
    GLIBC_ARENAS,
    GLIBC_MAIN_HEAP,
    GLIBC_MAPPED,
    IMAGES,
    INACCESSIBLE,
    KERNEL,
    MUSL_GROUPS,
    MUSL_MAPPED,
    STACKS,
    STACKS_UNTOUCHED,
    Label,
)
from heaphound.dump.stacks import thread_stacks, untouched_end
from heaphound.dump.writer import DIAGNOSTIC_PAGE
from heaphound.limits import LIMITS

_AT_PHDR = 3
_VSYSCALL = 0xFFFFFFFFFF600000  # arch/x86/include/uapi/asm/vsyscall.h
_IMAGE_SUFFIXES = (".dll", ".exe", ".so")


def native_ranges(core: Core) -> list[Label]:
    """Labels for `account`, the most certain first: kernel pages, files, stacks, the native heap."""
    modules = elf_modules(core)
    labels = [*_kernel_pages(core, modules), *_file_labels(core, modules)]
    anonymous = _anonymous(core, labels)
    for heap in find_arena_heaps(core.memory, anonymous):
        labels.append(Label(heap.start, heap.end, GLIBC_ARENAS, f"arena {heap.arena:#x}"))
        labels.append(Label(heap.end, heap.reserved_end, INACCESSIBLE, f"arena {heap.arena:#x}"))
    # Arenas stand before stacks: both can lie in one run of writable pages, and the arena's header says where it is.
    labels.extend(_stack_labels(core, anonymous))
    labels.extend(_main_heap(core, modules, anonymous))
    rest = _subtract(anonymous, labels)
    for start, end in rest:
        labels.extend(Label(*chunk, GLIBC_MAPPED) for chunk in mapped_chunks(core.memory, start, end))
    labels.extend(_musl_labels(core, Ranges(_subtract(anonymous, labels))))
    closed = (segment for segment in core.image.segments if segment[4] & 7 == 0)
    labels.extend(Label(address, address + size, INACCESSIBLE) for address, size, _, _, _ in closed)
    return labels


def _stack_labels(core: Core, anonymous: Ranges) -> Iterator[Label]:
    """Each stack, its untouched part apart; where all stacks together are too large to look through, no part is called untouched."""
    stacks = thread_stacks(core, anonymous)
    look = sum(stack.end - stack.start for stack in stacks) <= LIMITS.scanned_stack_bytes
    for stack in stacks:
        if look:
            yield Label(stack.start, untouched_end(core.memory, stack, anonymous), STACKS_UNTOUCHED, f"thread {stack.os_id}")
        yield Label(stack.start, stack.end, STACKS, f"thread {stack.os_id}")


def _kernel_pages(core: Core, modules: list[ElfModule]) -> Iterator[Label]:
    if core.writer.program == "createdump":
        yield Label(DIAGNOSTIC_PAGE, DIAGNOSTIC_PAGE + 4096, DUMP_WRITER)
    yield Label(_VSYSCALL, _VSYSCALL + 4096, KERNEL, "[vsyscall]")
    for module in modules:
        if not module.mappings:
            yield Label(module.base, module.end, KERNEL, module.path)


def _file_labels(core: Core, modules: list[ElfModule]) -> Iterator[Label]:
    """Mapped files; ELF images with their zero-initialised data behind the last mapping."""
    images = {module.path for module in modules}
    for file in core.files:
        name = file.path.removesuffix(" (deleted)")
        image = file.path in images or name.endswith(_IMAGE_SUFFIXES)
        yield Label(file.start, file.end, IMAGES if image else FILE_MAPS, file.path)
    for module in modules:
        if module.headers is not None and module.mappings:
            end = module.base + module.headers.span_bytes
            following = min((file.start for file in core.files if file.start >= module.end), default=end)
            if module.end < min(end, following):
                yield Label(module.end, min(end, following), IMAGES, module.path)


def _anonymous(core: Core, labels: list[Label]) -> Ranges:
    """Resident, writable, and claimed by no label so far."""
    resident = resident_ranges(core.image)
    writable = [
        part for address, size, _, _, flags in core.image.segments if flags & PF_WRITE for part in resident.within(address, address + size)
    ]
    return Ranges(_subtract(Ranges(writable), labels))


def _main_heap(core: Core, modules: list[ElfModule], anonymous: Ranges) -> Iterator[Label]:
    """The brk heap: the first anonymous range behind the program, before any other file, that begins as malloc's heap does.

    With address randomisation the kernel leaves a gap of up to 32 MiB, for position-independent programs up to 1 GiB,
    behind the program (arch_randomize_brk).
    """
    program_header = core.auxv.get(_AT_PHDR)
    program = next((module for module in modules if program_header is not None and module.base <= program_header < module.end), None)
    if program is None:
        return
    following = min((file.start for file in core.files if file.start >= program.end), default=1 << 64)
    for start, end in anonymous.within(program.end, min(following, program.end + (2 << 30))):
        if is_main_heap(core.memory, start):
            yield Label(start, end, GLIBC_MAIN_HEAP)
            return


def _musl_labels(core: Core, anonymous: Ranges) -> Iterator[Label]:
    heap = find_musl_heap(core.memory, anonymous)
    yield from (Label(*part, MUSL_GROUPS) for part in heap.groups)
    yield from (Label(*part, MUSL_MAPPED) for part in heap.large)
    yield from (Label(*part, MUSL_GROUPS, "notes of the allocator") for part in heap.areas)


def _subtract(ranges: Ranges, labels: list[Label]) -> list[Range]:
    claimed = Ranges((label.start, label.end) for label in labels)
    rest: list[Range] = []
    for start, end in ranges:
        for used_start, used_end in claimed.within(start, end):
            if used_start > start:
                rest.append((start, used_start))
            start = used_end
        if start < end:
            rest.append((start, end))
    return rest
