"""GcDacVars: the GC's own description of itself, reached through g_dacTable. Versioned and only ever appended to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from heaphound.dump.memory import Memory
from heaphound.errors import LayoutError, Unreadable
from heaphound.layouts.descriptor import Descriptor
from heaphound.layouts.schema import Layout

NOT_USED = -1
MAXIMUM_VERSION = 16
GENERATION_SIZES = range(64, 4096)
GENERATION_COUNTS = (4, 5)  # 0 to 2 and large objects; pinned ones have theirs since 5.0
OLDEST_GENERATION = 2
HEAP_FIELDS = ("AllocAllocated", "EphemeralHeapSegment", "FinalizeQueue", "GenerationTable")


@dataclass(frozen=True)
class GCVariables:
    """Where the GC keeps its state. `heaps` and `heap_count` are set under the server GC only.

    `generation_fields` are the offsets inside a generation (allocation context, start segment, allocation start); -1 = not there.
    `heap_fields` are the offsets inside a server heap. Source: src/coreclr/gc/gcinterface.dacvars.def. `described` are addresses of the
    variables that the GC's own descriptor names (11.0 on), by their names in GcDacVars; the others are found through `address`.
    """

    address: int
    major: int
    minor: int
    generation_size_bytes: int
    generation_count: int
    server: bool
    generation_fields: tuple[int, ...]
    heap_fields: tuple[int, ...]
    described: Mapping[str, int] = field(default_factory=dict)

    def variable(self, memory: Memory, layout: Layout, name: str) -> int:
        """Address of one of the GC's variables, 0 where this GC has none such; Unreadable where the dump lacks what leads to it."""
        known = self.described.get(name)
        return memory.pointer(self.address + layout.offset("GcDacVars", name)) if known is None else known

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


def looks_like_gc_variables(memory: Memory, layout: Layout, entry: int) -> bool:
    """Whether the variable at `entry` points to what looks like GcDacVars."""
    return bool(_candidate(memory, layout, entry))


def _candidate(memory: Memory, layout: Layout, entry: int) -> int:
    """The structure that the variable at `entry` points to if it looks like GcDacVars, else 0."""
    try:
        address = memory.pointer(entry)
        if address < 0x10000 or address % 8:
            return 0
        major, minor = memory.u8(address), memory.u8(address + layout.offset("GcDacVars", "MinorVersion"))
        size = memory.u64(address + layout.offset("GcDacVars", "GenerationSize"))
        count = _generation_count(memory, layout, address)
        if not 1 <= major <= MAXIMUM_VERSION or minor > MAXIMUM_VERSION or size not in GENERATION_SIZES or count not in GENERATION_COUNTS:
            return 0
        return address if _says_generations(memory, layout, address) else 0
    except Unreadable:
        return 0


def _says_generations(memory: Memory, layout: Layout, address: int) -> bool:
    """A second sign: the offsets inside a generation begin with 0; where they are not said (to 3.1), the oldest generation is 2."""
    if not layout.has("GcDacVars", "GenerationFieldOffsets"):
        return memory.u32(memory.pointer(address + layout.offset("GcDacVars", "MaxGeneration"))) == OLDEST_GENERATION
    fields = memory.pointer(address + layout.offset("GcDacVars", "GenerationFieldOffsets"))
    return memory.i32(fields) == 0 and memory.i32(fields + 4) > 0


def _generation_count(memory: Memory, layout: Layout, address: int) -> int:
    """Generations with those of large and pinned objects; before 5.0 the structure does not say it (gcinterface.dacvars.def of 3.1)."""
    if not layout.has("GcDacVars", "TotalGenerationCount"):
        return layout.constant("GenerationCount")
    return memory.u64(address + layout.offset("GcDacVars", "TotalGenerationCount"))


def _read(memory: Memory, layout: Layout, address: int) -> GCVariables:
    def at(name: str) -> int:
        return address + layout.offset("GcDacVars", name)

    server = memory.pointer(at("Heaps")) != 0
    return GCVariables(
        address=address,
        major=memory.u8(address),
        minor=memory.u8(at("MinorVersion")),
        generation_size_bytes=memory.u64(at("GenerationSize")),
        generation_count=_generation_count(memory, layout, address),
        server=server,
        generation_fields=_generation_fields(memory, layout, address),
        heap_fields=_heap_fields(memory, layout, address) if server else (),
    )


def _generation_fields(memory: Memory, layout: Layout, address: int) -> tuple[int, ...]:
    if not layout.has("GcDacVars", "GenerationFieldOffsets"):
        return 0, layout.offset("Generation", "StartSegment"), layout.offset("Generation", "AllocationStart")
    fields = memory.pointer(address + layout.offset("GcDacVars", "GenerationFieldOffsets"))
    return tuple(memory.i32(fields + 4 * i) for i in range(3))


def _heap_fields(memory: Memory, layout: Layout, address: int) -> tuple[int, ...]:
    """Offsets inside a server heap by index; to 3.1 the layout has them (dac_gc_heap of gcinterface.dac.h)."""
    needed = layout.constant("GCHeapFieldIndex.GenerationTable") + 1
    if not layout.has("GcDacVars", "HeapFieldOffsets"):
        known = {layout.constant(f"GCHeapFieldIndex.{name}"): layout.offset("ServerHeap", name) for name in HEAP_FIELDS}
        return tuple(known.get(index, NOT_USED) for index in range(needed))
    fields = memory.pointer(address + layout.offset("GcDacVars", "HeapFieldOffsets"))
    return tuple(memory.i32(fields + 4 * i) for i in range(needed))


# Names of the GC's variables in its descriptor (src/coreclr/gc/datadescriptor/datadescriptor.inc), by those in GcDacVars.
_DESCRIBED = {
    "GenerationTable": "GCHeapGenerationTable",
    "EphemeralHeapSegment": "GCHeapEphemeralHeapSegment",
    "AllocAllocated": "GCHeapAllocAllocated",
    "FinalizeQueue": "GCHeapFinalizeQueue",
    "MarkArray": "GCHeapMarkArray",
    "MaxGeneration": "MaxGeneration",
    "CurrentGCState": "CurrentGCState",
    "StructuresInvalidCount": "StructureInvalidCount",
    "HeapCount": "NumHeaps",
    "Heaps": "Heaps",
}
_IDENTIFIERS = "GCIdentifiers"  # "workstation, regions, background": what kind of GC this is


def described_gc_variables(layout: Layout, descriptor: Descriptor, known: GCVariables) -> GCVariables:
    """What the GC's own descriptor says, laid over what GcDacVars says; GcDacVars alone where there is no such descriptor.

    Raises LayoutError where the two disagree in what both say: whether it is the server GC, whether it has regions.
    """
    if _IDENTIFIERS not in descriptor.texts:
        return known
    words = {word.strip() for word in descriptor.texts[_IDENTIFIERS].split(",")}
    variables = {name: descriptor.addresses[theirs] for name, theirs in _DESCRIBED.items() if theirs in descriptor.addresses}
    start = layout.offset("Generation", "AllocationStart") if layout.has("Generation", "AllocationStart") else NOT_USED
    over = replace(
        known,
        server="server" in words,
        generation_size_bytes=layout.size("Generation"),
        generation_count=layout.constant("TotalGenerationCount"),
        generation_fields=(layout.offset("Generation", "AllocationContext"), layout.offset("Generation", "StartSegment"), start),
        heap_fields=_described_heap_fields(layout) if "server" in words else (),
        described=variables,
    )
    if (over.server, over.regions) != (known.server, known.regions) or over.regions != ("regions" in words):
        raise LayoutError(f"self-check GCIdentifiers: the GC calls itself {descriptor.texts[_IDENTIFIERS]}, GcDacVars says otherwise")
    return over


def _described_heap_fields(layout: Layout) -> tuple[int, ...]:
    """Offsets inside a server heap by index, as `_heap_fields` has them."""
    named = {layout.constant(f"GCHeapFieldIndex.{name}"): layout.offset("GCHeap", name) for name in HEAP_FIELDS}
    return tuple(named.get(index, NOT_USED) for index in range(max(named) + 1))
