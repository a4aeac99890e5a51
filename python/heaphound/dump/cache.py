"""The directory of decompressed dumps: where it is, what is in it, how to empty it."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from heaphound.errors import DumpError

_NAME = re.compile(r"(?P<source>.+)\.[0-9a-f]{16}\.core(?P<partial>\.partial-\d+)?")


@dataclass(frozen=True, slots=True)
class CachedDump:
    """One file of the cache. `size_bytes` is its length, `disk_bytes` what it takes (zero blocks take nothing).

    `source` is the name of the compressed file; `partial` marks what an interrupted run left behind; `last_used` is
    seconds since 1970.
    """

    path: Path
    source: str
    size_bytes: int
    disk_bytes: int
    last_used: float
    partial: bool


def default_cache_directory() -> Path:
    """`$XDG_CACHE_HOME/heaphound`, or `~/.cache/heaphound` where that is unset or relative (XDG base directory rules)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "heaphound"


def cache_path(directory: Path, source: str, status: os.stat_result) -> Path:
    """Where the dump unpacked from `source` lies: named by path, size, time of change and inode, so a changed file is another."""
    key = f"{os.path.realpath(source)}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\0{status.st_dev}"
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return directory / f"{os.path.basename(source)[:120]}.{digest}.core"


def list_cache(directory: Path | None = None) -> list[CachedDump]:
    """The dumps in the cache, by name; empty when there is no such directory. Files of other names are not listed."""
    found = []
    try:
        paths = sorted((directory or default_cache_directory()).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DumpError(f"the cache {error.filename} cannot be listed ({error.strerror}): name another with --cache-directory") from None
    for path in paths:
        match = _NAME.fullmatch(path.name)
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # removed by another run meanwhile
        if match:
            used = max(status.st_atime, status.st_mtime)
            partial = match["partial"] is not None
            found.append(CachedDump(path, match["source"], status.st_size, status.st_blocks * 512, used, partial))
    return found


def remove_cached(dumps: list[CachedDump]) -> int:
    """Remove these files; gives the bytes of disk they took. One already gone is no error; else raises `DumpError`."""
    freed = 0
    for dump in dumps:
        try:
            dump.path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DumpError(f"{dump.path} cannot be removed ({error.strerror}): remove it as its owner") from None
        freed += dump.disk_bytes
    return freed
