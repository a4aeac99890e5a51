"""The names of the categories that a dump's memory is divided into, and a labelled stretch of it."""

from __future__ import annotations

from dataclasses import dataclass

GC_USED = "gc used"
GC_FREE = "gc free"
GC_COMMITTED = "gc committed"
GC_BOOKKEEPING = "gc bookkeeping"
HANDLE_TABLES = "handle tables"
CODE = "code"
LOADER_HEAPS = "loader heaps"
STACKS = "stacks"
STACKS_UNTOUCHED = "stacks: untouched"
IMAGES = "images"
FILE_MAPS = "file maps"
GLIBC_MAIN_HEAP = "native: glibc main heap"
GLIBC_ARENAS = "native: glibc arenas"
GLIBC_MAPPED = "native: glibc large allocations"
MUSL_GROUPS = "native: musl groups"
MUSL_MAPPED = "native: musl large allocations"
ANONYMOUS = "native: rest"
INACCESSIBLE = "inaccessible"
KERNEL = "kernel pages"
DUMP_WRITER = "dump writer"

# What each one means, in the order in which a summary lists them.
CATEGORIES: dict[str, str] = {
    GC_USED: "managed objects, dead ones that no collection has swept among them",
    GC_FREE: "free blocks between managed objects",
    GC_COMMITTED: "committed memory of GC segments or regions behind their last object",
    GC_BOOKKEEPING: "card, brick, mark and region tables of the GC",
    HANDLE_TABLES: "GC handles",
    CODE: "machine code that the JIT and the stub generators wrote",
    LOADER_HEAPS: "types, methods and other structures of the class loader",
    STACKS: "stacks of threads",
    STACKS_UNTOUCHED: "pages of zeros below the deepest use of a stack: reserved for growth, hardly memory",
    IMAGES: "programs and libraries, native and managed, with their data",
    FILE_MAPS: "other mapped files",
    GLIBC_MAIN_HEAP: "malloc: the heap that brk extends",
    GLIBC_ARENAS: "malloc: heaps of the threads' arenas",
    GLIBC_MAPPED: "malloc: allocations with a mapping of their own",
    MUSL_GROUPS: "malloc: groups of slots of musl's allocator, free ones too, with its notes on them",
    MUSL_MAPPED: "malloc: allocations of musl with a mapping of their own",
    ANONYMOUS: "anonymous memory that nothing in the dump explains",
    INACCESSIBLE: "mapped without any access: guard pages, reservations (gcore writes them out)",
    KERNEL: "pages that the kernel maps into each process (vdso, vsyscall)",
    DUMP_WRITER: "a page that createdump added; no memory of the process",
}


@dataclass(frozen=True, slots=True)
class Label:
    """[start, end) belongs to `category` (one of `CATEGORIES`); `detail` says which one (a module, a thread, a heap)."""

    start: int
    end: int
    category: str
    detail: str | None = None
