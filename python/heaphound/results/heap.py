"""The managed heap as the GC lays it out: heaps, segments or regions, generations."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment or region: objects lie in [start, end)."""

    start: Address
    end: Address
    committed_end: Address
    reserved_end: Address
    kind: str
    """``Generation0``, ``Generation1``, ``Generation2``, ``Large``, ``Pinned``, ``Frozen``, ``Ephemeral``."""
    generation: str
    """``gen0``, ``gen1``, ``gen2``, ``loh``, ``poh``, ``frozen``; ``ephemeral`` where a segment holds several."""
    heap: int
    object_count: int | None = None
    """Objects found by the walk, free blocks included; None if the heap was not walked."""
    free_bytes: int | None = None
    address: Address | None = None
    """The runtime's own structure for it."""


@dataclass(frozen=True, slots=True)
class AllocationContextRow:
    """A stretch handed to a thread for its next objects and not used yet: no objects lie in [start, end)."""

    start: Address
    end: Address


@dataclass(frozen=True, slots=True)
class HeapRow:
    """One GC heap (workstation: one; server: one per core or as many as configured)."""

    index: int
    address: Address | None
    """None for the workstation GC, whose heap is static data."""
    size_bytes: int
    committed_bytes: int
    segments: int


@dataclass(frozen=True, slots=True)
class GenerationSize:
    """A generation over all heaps; `fragmentation` is free over all."""

    generation: str
    size_bytes: int
    """Objects and free blocks."""
    free_bytes: int
    committed_bytes: int
    object_count: int

    @property
    def fragmentation(self) -> float:
        """Share of free blocks, 0.0 to 1.0; 0.0 for an empty generation."""
        return self.free_bytes / self.size_bytes if self.size_bytes else 0.0


@dataclass(frozen=True, slots=True)
class HeapResult:
    """The whole managed heap."""

    server: bool
    regions: bool
    segments: tuple[SegmentRow, ...]
    allocation_contexts: tuple[AllocationContextRow, ...]
    heaps: tuple[HeapRow, ...]
    generations: tuple[GenerationSize, ...] = ()
    size_bytes: int = 0
    committed_bytes: int = 0
    gc_in_progress: bool | None = None
    """Whether a collection was running, so that the heap may look broken; None if unknown."""
