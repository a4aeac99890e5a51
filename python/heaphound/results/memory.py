"""Where the resident bytes of the process went."""

from dataclasses import dataclass

from heaphound.address import Address


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """One share of the memory. Parts of one result never overlap."""

    kind: str
    """``gc-used``, ``gc-free``, ``gc-committed``, ``gc-bookkeeping``, ``handle-tables``, ``code``, ``loader-heaps``, ``stacks``,
    ``stacks-untouched``, ``images``, ``file-maps``, ``native-glibc-main-heap``, ``native-glibc-arenas``,
    ``native-glibc-large-allocations``, ``native-musl-groups``, ``native-musl-large-allocations``,
    ``native-rest``, ``inaccessible``, ``kernel-pages``, ``dump-writer``"""
    name: str
    """The same for people."""
    size_bytes: int
    exact: bool = True
    """False if this share rests on a guess."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """One mapping of the process and what it is."""

    start: Address
    end: Address
    kind: str
    name: str
    permissions: str = ""
    """``rwx`` letters; empty if unknown."""


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """All bytes that the core holds, split by use; the parts add up to `total_bytes`."""

    total_bytes: int
    """Bytes present in the core: close to the resident size of a full dump, less in a partial one."""
    parts: tuple[MemoryPart, ...]
    resident_bytes: int | None = None
    """Resident size of the process as the dump itself tells it; None if it does not."""
    ranges: tuple[MemoryRange, ...] = ()
    """Filled when asked for."""
