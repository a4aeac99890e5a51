"""What the dump is, which runtime it holds, and which abilities there are on it."""

from dataclasses import dataclass
from typing import Literal

from heaphound.address import Address

AbilityState = Literal["available", "partial", "unavailable"]


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that can or cannot be done with this dump."""

    name: str
    """``heap walk``, ``statics``, ``stacks``, ``metadata`` ..."""
    state: AbilityState
    origin: str
    """Where its offsets come from: ``descriptor``, ``layout file, self-checked``, ``layout file (from source, never run), self-checked``,
    ``found by search``; empty if unavailable."""
    note: str = ""
    """What is missing and what would bring it back; empty when all is well."""
    not_exercised: tuple[str, ...] = ()
    """Numbers and structures of the layout of which this dump has no case (no thin lock, say), so that no self-check could try them."""


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """One CoreCLR found in the dump."""

    version: str
    path: str
    base: Address
    build_id: str | None
    architecture: str
    single_file: bool
    server_gc: bool | None
    regions: bool | None
    heap_count: int | None
    contract_descriptor: Address | None
    """Address of the runtime's own contract descriptor; None before .NET 9."""
    layout: str
    """The layout file that is the baseline, such as ``coreclr-9.0-x64``."""
    commit: str | None = None
    layout_status: str = ""
    """``from source, never run`` for a layout that no build has confirmed; empty for one that was observed on a build."""
    found_by_search: tuple[str, ...] = ()
    """Numbers that are not the layout file's but were found in this dump, because a self-check did not agree with the file's."""


@dataclass(frozen=True, slots=True)
class Held:
    """A part of the process that the dump holds wholly, partly or not at all."""

    name: str
    """``GC heap``, ``stacks``, ``images``, ``metadata`` ..."""
    present: int
    expected: int | None
    """None if how much there was in the process is unknown."""
    unit: Literal["bytes", "count"] = "bytes"


@dataclass(frozen=True, slots=True)
class InfoResult:
    """The dump, its runtime, and what can be asked of them."""

    runtime: RuntimeFacts | None
    abilities: tuple[Ability, ...] = ()
    held: tuple[Held, ...] = ()
    thread_count: int | None = None
    module_count: int | None = None
