"""Where the storage of a type's statics begins; a field's address is a base plus the field's offset."""

from dataclasses import dataclass
from typing import Protocol

from heaphound.runtime.types import Type


@dataclass(frozen=True, slots=True)
class StaticBases:
    """Bases for fields that hold references (and boxed value types), and for plain numbers. None: that storage was never made."""

    gc: int | None = None
    non_gc: int | None = None
    initialized: bool | None = None
    """Whether the static constructor has finished; None if that is not known."""
    only_what_is_set: bool = False
    """Whether nothing tells if the type was ever used, so that a null field says nothing."""

    def __bool__(self) -> bool:
        return self.gc is not None or self.non_gc is not None


NO_STORAGE = StaticBases()


class StaticStorage(Protocol):
    """One runtime's way of keeping statics."""

    def bases(self, owner: Type) -> StaticBases:
        """Bases of a type's ordinary statics; falsy when it has none. Raises Unreadable, Malformed."""


class ThreadStaticStorage(Protocol):
    """One runtime's way of keeping thread statics."""

    def bases(self, thread: int, owner: Type) -> StaticBases:
        """Bases of a type's statics on the thread whose Thread structure is at `thread`; falsy when it never used them there."""
