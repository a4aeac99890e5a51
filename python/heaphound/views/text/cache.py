"""The cache of decompressed dumps as text."""

import time
from collections.abc import Iterator

from heaphound.results.cache import CacheEntry, CacheResult
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(result: CacheResult) -> Iterator[Block]:
    """What was removed, what is there, and how much disk it takes."""
    yield Fact("Cache", result.directory, "strong")
    for title, entries in (("Removed", result.removed), ("File", result.entries)):
        if entries:
            yield Line("")
            rows = [
                (Size(entry.disk_bytes), Size(entry.size_bytes), _day(entry.last_used), _source(entry), entry.file) for entry in entries
            ]
            yield Table((*numbers("On disk", "Size"), *names("Last used", "Unpacked from", title)), rows)
    yield Fact("Total", f"{count(len(result.entries), 'dump')}, {exact(sum(entry.disk_bytes for entry in result.entries))} on disk")


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _source(entry: CacheEntry) -> str:
    return f"{entry.source} (unfinished)" if entry.partial else entry.source
