"""Which address ranges hold managed code: heaps of JIT code, ready-to-run images, and (where the runtime registers them) stub heaps.

Sources: src/coreclr/vm/codeman.h (RangeSection, RangeSectionMap, HeapList), 6.0 with a linked list, 7.0 and later with a five-level map.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.runtime import Runtime

CodeKind = Literal["jit", "ready-to-run", "stubs"]

_SHIFTS = (49, 41, 33, 25, 17)  # 64-bit: bits 56-17 of the address, 8 a level (codeman.h, RangeSectionMap)
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


@dataclass(frozen=True)
class CodeRanges:
    """Code sections, ascending by start, and why others could not be read: a small dump has only those that its stacks run through."""

    sections: tuple[CodeSection, ...]
    gaps: tuple[str, ...]


def code_ranges(runtime: Runtime) -> CodeRanges:
    """All code sections that can be read. Raises LayoutError, LimitExceeded."""
    gaps: list[str] = []
    is_list = runtime.layout.contract("CodeRanges") == "list"
    found: dict[int, CodeSection] = {}
    for address in _list_sections(runtime, gaps) if is_list else _map_sections(runtime, gaps):
        try:
            found[address] = _read_section(runtime, address)
        except Unreadable as error:
            gaps.append(str(error))
    return CodeRanges(tuple(sorted(found.values(), key=lambda section: (section.start, section.end))), tuple(gaps))


def find_code_section(runtime: Runtime, address: int) -> CodeSection | None:
    """The code section that holds an address, by the way on which the runtime itself looks for it; None where it leads nowhere.

    For dumps that lack other parts of the runtime's list or map. Raises Unreadable where a step on that way is not in the dump,
    LayoutError, LimitExceeded.
    """
    if runtime.layout.contract("CodeRanges") == "list":
        for section in _list_sections(runtime, None):
            start, end = _bounds(runtime, section)
            if start <= address < end:
                return _read_section(runtime, section)
        return None
    memory, entry = runtime.memory, _map_top(runtime)
    for shift in _SHIFTS:
        entry = memory.pointer(entry + 8 * (address >> shift & _ENTRIES_PER_LEVEL - 1)) & ~1
        if not entry:
            return None
    for section in _fragment_sections(runtime, [entry], None):
        start, end = _bounds(runtime, section)
        if start <= address < end:
            return _read_section(runtime, section)
    return None


def _bounds(runtime: Runtime, section: int) -> tuple[int, int]:
    offset = runtime.layout.offset
    return (
        runtime.memory.pointer(section + offset("RangeSection", "RangeBegin")),
        runtime.memory.pointer(section + offset("RangeSection", "RangeEndOpen")),
    )


def _pointer(runtime: Runtime, address: int, gaps: list[str] | None) -> int:
    """A pointer; 0, with the reason among the gaps, where it is not in the dump. Without gaps it raises Unreadable."""
    try:
        return runtime.memory.pointer(address)
    except Unreadable as error:
        if gaps is None:
            raise
        gaps.append(str(error))
        return 0


def _list_sections(runtime: Runtime, gaps: list[str] | None) -> Iterator[int]:
    next_offset = runtime.layout.offset("RangeSection", "Next")
    seen: set[int] = set()
    link = runtime.layout.global_address("ExecutionManagerCodeRangeList")
    while section := _pointer(runtime, link, gaps):
        if section in seen or len(seen) > LIMITS.code_sections:
            raise LimitExceeded(f"the list of code ranges loops or is longer than {LIMITS.code_sections} at {section:#x}")
        seen.add(section)
        yield section
        link = section + next_offset


def _map_top(runtime: Runtime) -> int:
    """Address of the map's first level."""
    layout = runtime.layout
    top = layout.global_address("ExecutionManagerCodeRangeMapAddress")
    from_descriptor = layout.global_origin("ExecutionManagerCodeRangeMapAddress") == "descriptor"
    return top + layout.offset("RangeSectionMap", "TopLevelData") if from_descriptor else top


def _map_sections(runtime: Runtime, gaps: list[str]) -> Iterator[int]:
    level = [_map_top(runtime)]
    for _ in _SHIFTS:
        below = [entry & ~1 for address in level for entry in _entries(runtime, address, gaps) if entry & ~1]
        if len(below) > LIMITS.code_sections:
            raise LimitExceeded(f"the map of code ranges has {len(below)} entries, more than {LIMITS.code_sections}")
        level = below
    yield from _fragment_sections(runtime, level, gaps)


def _entries(runtime: Runtime, address: int, gaps: list[str]) -> Iterable[int]:
    """Entries of one level; of one that the dump has in part, those that are there."""
    try:
        return runtime.memory.words(address, _ENTRIES_PER_LEVEL)
    except Unreadable as error:
        gaps.append(str(error))
    return [_pointer(runtime, at, []) for at in range(address, address + 8 * _ENTRIES_PER_LEVEL, 8)]


def _fragment_sections(runtime: Runtime, fragments: list[int], gaps: list[str] | None) -> Iterator[int]:
    layout = runtime.layout
    next_offset, section_offset = layout.offset("RangeSectionFragment", "Next"), layout.offset("RangeSectionFragment", "RangeSection")
    seen: set[int] = set()
    for first in fragments:
        fragment = first
        while fragment and fragment not in seen:
            if len(seen) > LIMITS.code_sections:
                raise LimitExceeded(f"the map of code ranges has more than {LIMITS.code_sections} fragments")
            seen.add(fragment)
            section = _pointer(runtime, fragment + section_offset, gaps)
            if not section:
                break
            yield section
            fragment = _pointer(runtime, fragment + next_offset, gaps) & ~1


def _read_section(runtime: Runtime, section: int) -> CodeSection:
    memory, layout = runtime.memory, runtime.layout
    start, end = _bounds(runtime, section)
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
