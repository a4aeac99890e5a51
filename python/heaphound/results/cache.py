"""What the cache directory holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One file of the cache."""

    file: str
    size_bytes: int
    used_days_ago: float


@dataclass(frozen=True, slots=True)
class CacheResult:
    """The cache directory; `removed` lists what this call deleted."""

    directory: str
    entries: tuple[CacheEntry, ...]
    removed: tuple[CacheEntry, ...] = ()
