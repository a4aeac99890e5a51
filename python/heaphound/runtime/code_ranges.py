"""Which address ranges hold managed code: heaps of JIT code, ready-to-run images, and (where the runtime registers them) stub heaps.

Sources: src/coreclr/vm/codeman.h (RangeSection, RangeSectionMap, HeapList), 6.0 with a linked list, 7.0 and later with a five-level map.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded
from heaphound.limits import LIMITS
from heaphound.runtime.runtime import Runtime

CodeKind = Literal["jit", "ready-to-run", "stubs"]

_LEVELS = 5  # 64-bit: bits 56-17 of the address, 8 a level (codeman.h, RangeSectionMap)
_ENTRIES_PER_LEVEL = 256


@dataclass(frozen=True, slots=True)
class CodeSection:
    """One range of addresses that one manager of code owns."""

    start: int
    end: int
    kind: CodeKind
    section: int
    """Address of its RangeSection."""
    module: int | None = None
    """The Module of a ready-to-run image, else None."""
    heap: int | None = None
    """The code heap's list node (CodeHeapListNode) for JIT code, else None."""
    map_base: int | None = None
    """First address that the heap's nibble map covers; None but for JIT code."""
    nibble_map: int | None = None
    """Address of the nibble map; None but for JIT code."""
    used_bytes: int | None = None
    """Bytes of the heap that methods and stubs take so far; None but for JIT code."""
    collectible: bool = False
    """Whether it goes when its load context is unloaded."""

    @property
    def size_bytes(self) -> int:
        """Length of the range."""
        return self.end - self.start


def code_ranges(runtime: Runtime) -> list[CodeSection]:
    """All code sections, ascending by start. Raises Unreadable, LayoutError, LimitExceeded."""
    layout = runtime.layout
    addresses = _list_sections(runtime) if layout.contract("CodeRanges") == "list" else _map_sections(runtime)
    found = {address: _read_section(runtime, address) for address in addresses}
    return sorted(found.values(), key=lambda section: (section.start, section.end))


def _list_sections(runtime: Runtime) -> Iterator[int]:
    memory, next_offset = runtime.memory, runtime.layout.offset("RangeSection", "Next")
    seen: set[int] = set()
    section = memory.pointer(runtime.layout.global_address("ExecutionManagerCodeRangeList"))
    while section:
        if section in seen or len(seen) > LIMITS.code_sections:
            raise LimitExceeded(f"the list of code ranges loops or is longer than {LIMITS.code_sections} at {section:#x}")
        seen.add(section)
        yield section
        section = memory.pointer(section + next_offset)


def _map_sections(runtime: Runtime) -> Iterator[int]:
    memory, layout = runtime.memory, runtime.layout
    top = layout.global_address("ExecutionManagerCodeRangeMapAddress")
    if layout.global_origin("ExecutionManagerCodeRangeMapAddress") == "descriptor":
        top += layout.offset("RangeSectionMap", "TopLevelData")
    level = [top]
    for _ in range(_LEVELS):
        below = []
        for address in level:
            below += [entry & ~1 for entry in memory.words(address, _ENTRIES_PER_LEVEL) if entry & ~1]
        if len(below) > LIMITS.code_sections:
            raise LimitExceeded(f"the map of code ranges has {len(below)} entries, more than {LIMITS.code_sections}")
        level = below
    yield from _fragment_sections(runtime, level)


def _fragment_sections(runtime: Runtime, fragments: list[int]) -> Iterator[int]:
    memory, layout = runtime.memory, runtime.layout
    next_offset, section_offset = layout.offset("RangeSectionFragment", "Next"), layout.offset("RangeSectionFragment", "RangeSection")
    seen: set[int] = set()
    for first in fragments:
        fragment = first
        while fragment and fragment not in seen:
            if len(seen) > LIMITS.code_sections:
                raise LimitExceeded(f"the map of code ranges has more than {LIMITS.code_sections} fragments")
            seen.add(fragment)
            yield memory.pointer(fragment + section_offset)
            fragment = memory.pointer(fragment + next_offset) & ~1


def _read_section(runtime: Runtime, section: int) -> CodeSection:
    memory, layout = runtime.memory, runtime.layout
    start = memory.pointer(section + layout.offset("RangeSection", "RangeBegin"))
    end = memory.pointer(section + layout.offset("RangeSection", "RangeEndOpen"))
    flags = memory.u32(section + layout.offset("RangeSection", "Flags"))
    collectible = bool(flags & layout.constant("RangeSectionFlags.Collectible"))
    module, heap = _owner(runtime, section, flags)
    if module:
        return CodeSection(start, end, "ready-to-run", section, module=module, collectible=collectible)
    if not heap:
        return CodeSection(start, end, "stubs", section, collectible=collectible)
    node = "CodeHeapListNode"
    used_end = memory.pointer(heap + layout.offset(node, "EndAddress"))
    used_start = memory.pointer(heap + layout.offset(node, "StartAddress"))
    return CodeSection(
        start,
        end,
        "jit",
        section,
        heap=heap,
        map_base=memory.pointer(heap + layout.offset(node, "MapBase")),
        nibble_map=memory.pointer(heap + layout.offset(node, "HeaderMap")),
        used_bytes=used_end - used_start,
        collectible=collectible,
    )


def _owner(runtime: Runtime, section: int, flags: int) -> tuple[int, int]:
    """(Module of a ready-to-run image or 0, code heap or 0)."""
    memory, layout = runtime.memory, runtime.layout
    if layout.has("RangeSection", "HeapListOrZapModule"):
        owner = memory.pointer(section + layout.offset("RangeSection", "HeapListOrZapModule"))
        return (owner, 0) if flags & layout.constant("RangeSectionFlags.ReadyToRun") else (0, owner)
    module = memory.pointer(section + layout.offset("RangeSection", "R2RModule"))
    return module, memory.pointer(section + layout.offset("RangeSection", "HeapList"))
