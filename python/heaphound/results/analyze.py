"""The diagnosis of a dump: a verdict, and findings of which the first is what to fix first."""

from dataclasses import dataclass
from typing import Literal

from heaphound.address import Address
from heaphound.results.answer import SkippedRule
from heaphound.results.heap import GenerationSize
from heaphound.results.memory import MemoryResult
from heaphound.results.types import TypeRow

Verdict = Literal["leak", "no-leak", "unclear"]
Severity = Literal["leak", "waste", "note"]
RootKind = Literal[
    "static-field",
    "thread-static",
    "strong-handle",
    "pinned-handle",
    "dependent-handle",
    "stack",
    "finalizer-queue",
    "timer",
    "async",
    "threadpool",
    "load-context",
    "none",
]
CodeRole = Literal["adds", "subscribes", "allocates", "forgets", "blocks"]


@dataclass(frozen=True, slots=True)
class Holder:
    """The object whose field or slots hold what piles up."""

    type: str
    field: str | None = None
    """The event, field or collection; several joined by ``, ``. None if the object as a whole holds them (an array)."""
    address: Address | None = None
    """None if the holder is no object (a static field of a class)."""


@dataclass(frozen=True, slots=True)
class FindingRoot:
    """What keeps the holder alive. `kind` is ``none`` if no root reaches it."""

    kind: RootKind
    declaring_type: str | None = None
    """True declaring type of a static field."""
    field: str | None = None
    thread: int | None = None
    """Managed id of the thread, for stacks and thread statics."""
    method: str | None = None
    """Method of the frame, for stacks."""
    address: Address | None = None
    """The slot, where there is one."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """One object of a path from a root; `via` is the field or index that leads to the next one, None at the last."""

    address: Address
    type: str
    via: str | None = None


@dataclass(frozen=True, slots=True)
class CodeSite:
    """A place in code that takes part in a finding."""

    role: CodeRole
    method: str
    """``Namespace.Type.Method(arguments)``."""
    declaring_type: str
    module: str
    file: str | None = None
    """Source file as the PDB names it; None without a PDB."""
    line: int | None = None
    il_offset: int | None = None
    evidence: str = ""
    """Why we think so, in words."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that costs memory, who holds it, which code, and what to change.

    `retained_bytes` is what would be freed if the holder let go of these objects: exact, of the full graph. Retained sizes of two findings
    can overlap when one holds the other.
    """

    rule: str
    title: str
    severity: Severity
    confidence: float
    """0.0 to 1.0: how sure the rule is that this is no intended state."""
    retained_bytes: int
    object_count: int
    fingerprint: str
    """The same for the same leak in other dumps and on other machines: made of types and fields, never of addresses."""
    type: str
    """The type that piles up."""
    method_table: Address | None
    holder: Holder
    root: FindingRoot
    path: tuple[PathStep, ...] = ()
    code: tuple[CodeSite, ...] = ()
    advice: str = ""
    evidence: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeapSummary:
    """The managed heap in figures."""

    object_count: int
    size_bytes: int
    """All objects, free blocks left out, aligned."""
    free_count: int
    free_bytes: int
    committed_bytes: int
    live_count: int | None = None
    """Objects that a root reaches; None if reachability was not computed."""
    live_bytes: int | None = None
    largest_owner: str | None = None
    """The biggest single owner in words (`ConnectionMultiplexer at 0x7f...`)."""
    largest_owner_retained_bytes: int | None = None
    generations: tuple[GenerationSize, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalyzeResult:
    """The verdict, the findings ranked, and the figures a reader needs to judge them."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    memory: MemoryResult
    heap: HeapSummary
    top_types: tuple[TypeRow, ...]
    """Largest by retained bytes, else by own bytes."""
    skipped_rules: tuple[SkippedRule, ...] = ()
