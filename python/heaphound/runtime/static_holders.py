"""Which objects on the heap are nothing but the runtime's storage for statics, so that a path need not lead through them.

Statics that hold references lie in Object[] arrays that a strong or pinned handle keeps (thread statics since .NET 9: in boxes in an array
of the thread). Seen from the handle table, such an object is reached as handle → Object[] → slot; under its own name the root is the field.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heaphound._core import Heap
from heaphound.runtime.statics import Static

_NO_OBJECT = 0xFFFFFFFF


@dataclass(frozen=True)
class StaticHolders:
    """`indices` are object indices of the holders, ascending; `fields` leads from the address of a slot to its field."""

    indices: NDArray[np.uint32]
    fields: dict[int, Static]

    def is_holder(self, index: int) -> bool:
        """Whether the object holds statics."""
        at = int(np.searchsorted(self.indices, index))
        return at < len(self.indices) and int(self.indices[at]) == index

    def field(self, slot: int) -> Static | None:
        """The field at that address; None for a slot of a holder that belongs to no known static."""
        return self.fields.get(slot)


def static_holders(table: Heap, statics: Sequence[Static]) -> StaticHolders:
    """Holders of the given statics among the walked objects. A slot outside of objects (numbers in native memory) has no holder."""
    slots = np.array([static.slot for static in statics], dtype=np.uint64)
    found = table.indices_containing(slots)
    held = np.unique(found[found != _NO_OBJECT])
    return StaticHolders(held, {static.slot: static for static in statics})
