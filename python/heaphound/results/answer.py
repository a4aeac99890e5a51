"""What surrounds every result: which dump it is about and how much of that dump it rests on."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from heaphound.address import Address

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class DumpFacts:
    """The dump in one line. A fact that the dump does not tell is None."""

    file: str
    """Path as it was given."""
    size_bytes: int
    """Size of the core itself (after decompression)."""
    kind: str
    """How the core was written: ``createdump (full)``, ``createdump (withheap)``, ``kernel``, ``gcore``, ``unknown`` ..."""
    os: str
    architecture: str
    """``x64`` or ``arm64``."""
    pid: int | None = None
    process: str | None = None
    """Name of the application (entry assembly or executable), without its path and arguments: those can hold secrets."""
    runtime: str | None = None
    """Version of the runtime, such as ``9.0.11``; None where none was found."""
    runtime_build_id: str | None = None
    server_gc: bool | None = None
    heap_count: int | None = None
    regions: bool | None = None
    truncated: str | None = None
    """One sentence on what of the file is missing; None for a whole file."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A range that could not be read or made no sense: [start, end)."""

    start: Address
    end: Address
    reason: str


@dataclass(frozen=True, slots=True)
class SkippedRule:
    """A rule, or another ability, that could not run on this dump, and why."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the heap an answer rests on. `complete` is true only if nothing at all is missing.

    `heap_bytes` is 0 for verbs that need no heap (``modules``).
    """

    heap_bytes: int = 0
    """Bytes of all segments up to their allocated ends."""
    walked_bytes: int = 0
    """Bytes of them that the walk accounted for as objects, free space or unused allocation contexts."""
    gaps: tuple[Gap, ...] = ()
    incomplete_roots: tuple[str, ...] = ()
    """Kinds of roots known to be incomplete or conservative, each with the reason in words."""
    skipped_rules: tuple[SkippedRule, ...] = ()
    notes: tuple[str, ...] = ()
    """Anything else the reader must know to trust the answer: an offset that was found by search, a build without a layout of its own."""

    @property
    def without_heap(self) -> bool:
        """Whether nothing of the heap could be walked, though there was one: that an answer shows no object then says nothing."""
        return self.walked_bytes == 0 and bool(self.gaps)

    @property
    def complete(self) -> bool:
        """Whether the whole heap was walked and every kind of root and rule was available."""
        return self.walked_bytes == self.heap_bytes and not (self.gaps or self.incomplete_roots or self.skipped_rules)


@dataclass(frozen=True, slots=True)
class Answer(Generic[ResultT_co]):
    """What every call of the API returns: the result, and what it rests on."""

    dump: DumpFacts
    coverage: Coverage
    result: ResultT_co
