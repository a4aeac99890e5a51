"""GcInfo of methods by address, each decoded once."""

from heaphound.dump.memory import Memory
from heaphound.layouts.schema import Layout
from heaphound.runtime.gc_info.gc_info import GcInfo, read_gc_info


class GcInfos:
    """GcInfo of one runtime's methods."""

    def __init__(self, memory: Memory, layout: Layout, machine: str) -> None:
        self._memory = memory
        self._layout = layout
        self._machine = machine
        self._known: dict[int, GcInfo] = {}

    def at(self, address: int) -> GcInfo:
        """The GcInfo at an address. Raises Malformed, Unreadable, and LayoutError where this runtime's version of it is not known."""
        found = self._known.get(address)
        if found is None:
            found = read_gc_info(self._memory, address, self._layout.constant("GCInfoVersion"), self._machine)
            self._known[address] = found
        return found
