"""The class loader's heaps: where MethodTables, MethodDescs, stubs and the other structures of loaded types lie.

Each load context's LoaderAllocator owns some; none is ever shrunk before its context is unloaded.
Sources: src/coreclr/vm/loaderallocator.hpp, virtualcallstub.h, src/coreclr/inc/loaderheap.h (6.0 to 10.0); the names are those of
the runtime's fields.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.modules import Module
from heaphound.runtime.runtime import Runtime

PAGE_BYTES = 4096
ALLOCATOR_HEAPS = (
    "LowFrequencyHeap",
    "HighFrequencyHeap",
    "StaticsHeap",
    "StubHeap",
    "ExecutableHeap",
    "FixupPrecodeHeap",
    "NewStubPrecodeHeap",
)
STUB_MANAGER_HEAPS = ("IndirectionCellHeap", "CacheEntryHeap", "LookupHeap", "DispatchHeap", "ResolveHeap", "VtableHeap")


@dataclass(frozen=True, slots=True)
class LoaderHeap:
    """One heap of one LoaderAllocator. `blocks` are [start, end) of reserved addresses, newest first; a part may be uncommitted.

    `kind` is the name of the field that leads to it: LowFrequencyHeap, HighFrequencyHeap, StaticsHeap, StubHeap, ...
    """

    kind: str
    address: int
    allocator: int
    collectible: bool
    blocks: tuple[tuple[int, int], ...]

    @property
    def reserved_bytes(self) -> int:
        """Addresses that its blocks span."""
        return sum(end - start for start, end in self.blocks)


@dataclass(frozen=True, slots=True)
class LoaderHeapGap:
    """A heap that could not be read: the kind, the address of the structure in question, and why."""

    kind: str
    address: int
    reason: str


@dataclass(frozen=True, slots=True)
class LoaderHeaps:
    """All heaps found, and those that could not be read.

    From 8.0 on the stubs of virtual calls are made in code heaps; which heaps there are is the version's choice.
    """

    heaps: tuple[LoaderHeap, ...]
    gaps: tuple[LoaderHeapGap, ...]


def read_loader_heaps(runtime: Runtime, modules: Iterable[Module]) -> LoaderHeaps:
    """The heaps of every load context that one of `modules` was loaded into.

    Raises LayoutError when the layout leads to no heap at all. A heap that cannot be read, or is none by its own vtable, is a gap.
    """
    layout = runtime.layout
    if not layout.has("LoaderHeap", "FirstBlock") or not layout.has("LoaderAllocator"):
        raise LayoutError(f"the layout of .NET {layout.version} does not lead to the heaps of the class loader")
    heaps: list[LoaderHeap] = []
    gaps: list[LoaderHeapGap] = []
    seen: set[int] = set()
    for kind, address, allocator, collectible in _places(runtime, list(modules), gaps):
        if address in seen:
            continue  # a collectible context has one heap for several purposes
        seen.add(address)
        try:
            heaps.append(LoaderHeap(kind, address, allocator, collectible, tuple(_blocks(runtime, address))))
        except (Unreadable, Malformed) as error:
            gaps.append(LoaderHeapGap(kind, address, str(error)))
    return LoaderHeaps(tuple(heaps), tuple(gaps))


def _places(runtime: Runtime, modules: list[Module], gaps: list[LoaderHeapGap]) -> Iterator[tuple[str, int, int, bool]]:
    """(kind, address of the heap, its LoaderAllocator, collectible) of each heap that is there."""
    memory, layout = runtime.memory, runtime.layout

    def pointers(owner: int, type_name: str, kinds: Iterable[str]) -> Iterator[tuple[str, int]]:
        for kind in kinds:
            if not layout.has(type_name, kind):
                continue
            place = owner + layout.offset(type_name, kind)
            try:
                address = memory.pointer(place)
            except Unreadable as error:
                gaps.append(LoaderHeapGap(kind, place, str(error)))
                continue
            if address:
                yield kind, address

    allocators = {module.loader_allocator: module.collectible for module in modules if module.loader_allocator}
    for allocator, collectible in allocators.items():
        for kind, address in pointers(allocator, "LoaderAllocator", ALLOCATOR_HEAPS):
            yield kind, address, allocator, collectible
        for name, manager in pointers(allocator, "LoaderAllocator", ("VirtualCallStubManager",)):
            try:
                vtable = memory.pointer(manager)
            except Unreadable as error:
                gaps.append(LoaderHeapGap(name, manager, str(error)))
                continue
            if not runtime.module.base <= vtable < runtime.module.end:
                reason = f"what should be a {name} at {manager:#x} begins with {vtable:#x}, no vtable of {runtime.module.name}"
                gaps.append(LoaderHeapGap(name, manager, reason))
                continue
            for kind, address in pointers(manager, "VirtualCallStubManager", STUB_MANAGER_HEAPS):
                yield kind, address, allocator, collectible


def _blocks(runtime: Runtime, heap: int) -> Iterator[tuple[int, int]]:
    """The list of blocks. Raises Malformed for what is no heap of the loader, Unreadable, LimitExceeded."""
    memory, layout = runtime.memory, runtime.layout
    vtable = memory.pointer(heap)
    if not runtime.module.base <= vtable < runtime.module.end:
        raise Malformed(f"the heap at {heap:#x} begins with {vtable:#x}, no vtable of {runtime.module.name}")
    block = memory.pointer(heap + layout.offset("LoaderHeap", "FirstBlock"))
    seen: set[int] = set()
    while block:
        if block in seen:
            raise Malformed(f"the list of the blocks of the loader heap at {heap:#x} runs in a circle at {block:#x}")
        if len(seen) >= LIMITS.loader_heap_blocks:
            raise LimitExceeded(f"the loader heap at {heap:#x} has more than {LIMITS.loader_heap_blocks} blocks")
        seen.add(block)
        start = memory.pointer(block + layout.offset("LoaderHeapBlock", "VirtualAddress"))
        size = memory.u64(block + layout.offset("LoaderHeapBlock", "VirtualSize"))
        if not start or start % PAGE_BYTES or not size or size % PAGE_BYTES or size > LIMITS.loader_heap_block_bytes:
            raise Malformed(f"block {block:#x} of the loader heap at {heap:#x} claims {size} bytes at {start:#x}")
        yield start, start + size
        block = memory.pointer(block + layout.offset("LoaderHeapBlock", "Next"))
