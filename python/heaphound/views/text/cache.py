"""The cache directory as text."""

from collections.abc import Iterator

from heaphound.results.cache import CacheResult
from heaphound.views.page import Block, Fact, Line, Size, Table, names, numbers
from heaphound.views.quantities import count, exact


def page(result: CacheResult) -> Iterator[Block]:
    """What is there, and what was removed."""
    yield Fact("Cache", result.directory, "strong")
    for title, entries in (("Removed", result.removed), ("File", result.entries)):
        if entries:
            yield Line("")
            rows = [(Size(entry.size_bytes), f"{entry.used_days_ago:.1f}", entry.file) for entry in entries]
            yield Table((*numbers("Size", "Days unused"), *names(title)), rows)
    total = sum(entry.size_bytes for entry in result.entries)
    yield Fact("Total", f"{count(len(result.entries), 'file')}, {exact(total)}")
