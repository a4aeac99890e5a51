"""Post-mortem memory analysis of .NET: what fills the memory of a dumped process, who holds it, which code put it there."""

from heaphound.api import Dump, cache, open
from heaphound.errors import (
    DumpError,
    HeaphoundError,
    LayoutError,
    LimitExceeded,
    Malformed,
    RuntimeNotFound,
    Unreadable,
    UnsupportedRuntime,
    UsageError,
)

__all__ = [
    "Dump",
    "DumpError",
    "HeaphoundError",
    "LayoutError",
    "LimitExceeded",
    "Malformed",
    "RuntimeNotFound",
    "Unreadable",
    "UnsupportedRuntime",
    "UsageError",
    "cache",
    "open",
]
