"""Post-mortem memory analysis of .NET: what fills the memory of a dumped process, who holds it, which code put it there."""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from heaphound.api import Dump, cache, open

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


def __getattr__(name: str) -> object:
    """The API, imported when it is first asked for (PEP 562): help, completion and usage errors need neither numpy nor the kernel."""
    if name in ("Dump", "cache", "open"):
        from heaphound import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
