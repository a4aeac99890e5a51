"""What a stub says, whatever machine it is for."""

from dataclasses import dataclass
from typing import Literal

StubKind = Literal["precode", "jump", "call-counting", "shuffle-thunk", "virtual-call", "native-entry"]
"""What a stub is for; "native-entry": by which native code calls a delegate or an UnmanagedCallersOnly method (UMEntryThunk)."""


@dataclass(frozen=True, slots=True)
class StubCode:
    """What the instructions of a stub say. At most one of `method_desc` and `target` is not None."""

    kind: StubKind
    method_desc: int | None = None
    target: int | None = None
    """Address that the stub jumps to."""
