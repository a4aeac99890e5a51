"""What the cache of decompressed dumps holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One decompressed dump. `disk_bytes` is what it takes on disk: blocks of zeros take nothing."""

    file: str
    source: str
    """Name of the compressed file it came from."""
    size_bytes: int
    disk_bytes: int
    last_used: float
    """Seconds since 1970."""
    partial: bool = False
    """Whether an interrupted run left it behind."""


@dataclass(frozen=True, slots=True)
class CacheResult:
    """The cache directory; `removed` lists what this call deleted, `entries` what is there now."""

    directory: str
    entries: tuple[CacheEntry, ...]
    removed: tuple[CacheEntry, ...] = ()
