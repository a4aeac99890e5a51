"""GcDacVars: the GC's own description of itself, reached through g_dacTable. Versioned and only ever appended to."""

from collections.abc import Sequence
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Unreadable
from heaphound.layouts.schema import Layout

NOT_USED = -1
MAXIMUM_VERSION = 16
GENERATION_SIZES = range(64, 4096)
GENERATION_COUNT = 5
FIELDS_TO_CHECK = 4


@dataclass(frozen=True)
class GCVariables:
    """Where the GC keeps its state. `heaps` and `heap_count` are set under the server GC only.

    `generation_fields` are the offsets inside a generation (allocation context, start segment, allocation start); -1 = not there.
    `heap_fields` are the offsets inside a server heap. Source: src/coreclr/gc/gcinterface.dacvars.def.
    """

    address: int
    major: int
    minor: int
    generation_size_bytes: int
    generation_count: int
    server: bool
    generation_fields: tuple[int, ...]
    heap_fields: tuple[int, ...]

    @property
    def regions(self) -> bool:
        """Regions are in use iff a generation has no allocation start (the field belongs to segments)."""
        return self.generation_fields[2] == NOT_USED


def find_gc_variables(memory: Memory, layout: Layout, dac_table: Sequence[int]) -> GCVariables:
    """GcDacVars, as the only thing that g_dacTable leads to which looks like it; its index in the layout must agree.

    Raises LayoutError when nothing or more than one thing looks like it, or the layout's index names another entry.
    """
    found = sorted({entry: target for entry in dac_table if entry and (target := _candidate(memory, layout, entry))}.items())
    if len(found) != 1:
        raise LayoutError(f"self-check GcDacVars: {len(found)} of the {len(dac_table)} entries of g_dacTable lead to what looks like it")
    entry, address = found[0]
    if layout.has_global("GcDacVars") and layout.global_address("GcDacVars") != entry:
        raise LayoutError(f"self-check GcDacVars: found at {entry:#x}, the layout names {layout.global_address('GcDacVars'):#x}")
    return _read(memory, layout, address)


def _candidate(memory: Memory, layout: Layout, entry: int) -> int:
    """The structure that the variable at `entry` points to if it looks like GcDacVars, else 0."""
    try:
        address = memory.pointer(entry)
        if address < 0x10000 or address % 8:
            return 0
        major, minor = memory.u8(address), memory.u8(address + layout.offset("GcDacVars", "MinorVersion"))
        size = memory.u64(address + layout.offset("GcDacVars", "GenerationSize"))
        count = memory.u64(address + layout.offset("GcDacVars", "TotalGenerationCount"))
        fields = memory.pointer(address + layout.offset("GcDacVars", "GenerationFieldOffsets"))
        if not 1 <= major <= MAXIMUM_VERSION or minor > MAXIMUM_VERSION or size not in GENERATION_SIZES or count != GENERATION_COUNT:
            return 0
        first = memory.i32(fields)
        return address if first == 0 and memory.i32(fields + 4) > 0 else 0
    except Unreadable:
        return 0


def _read(memory: Memory, layout: Layout, address: int) -> GCVariables:
    def at(name: str) -> int:
        return address + layout.offset("GcDacVars", name)

    generation_fields = memory.pointer(at("GenerationFieldOffsets"))
    heap_fields = memory.pointer(at("HeapFieldOffsets"))
    server = memory.pointer(at("Heaps")) != 0
    needed = layout.constant("GCHeapFieldIndex.GenerationTable") + 1
    return GCVariables(
        address=address,
        major=memory.u8(address),
        minor=memory.u8(at("MinorVersion")),
        generation_size_bytes=memory.u64(at("GenerationSize")),
        generation_count=memory.u64(at("TotalGenerationCount")),
        server=server,
        generation_fields=tuple(memory.i32(generation_fields + 4 * i) for i in range(3)),
        heap_fields=tuple(memory.i32(heap_fields + 4 * i) for i in range(needed)) if server else (),
    )
