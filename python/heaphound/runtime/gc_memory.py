"""Memory of the GC besides its segments: the tables that it keeps about the heap, and the address range that its regions come from.

Sources: src/coreclr/gc/gcinterface.dacvars.def (bookkeeping_start, from 8.0), gcpriv.h (card_table_info), docs/design/datacontracts/GC.md.
"""

from dataclasses import dataclass

from heaphound.errors import LayoutError, LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """One reservation of card, brick, mark and region tables: [start, end), partly committed, for the heap addresses [lowest, highest)."""

    start: int
    end: int
    lowest: int
    highest: int


def read_bookkeeping(runtime: Runtime) -> list[Bookkeeping]:
    """The reservations in use, the current one first.

    Raises LayoutError where the GC does not say where they are (before 8.0), Malformed for a list that makes no sense, Unreadable.
    """
    memory, layout = runtime.memory, runtime.layout
    if not layout.has("GcDacVars", "BookkeepingStart"):
        raise LayoutError(f"the GC of .NET {layout.version} does not say where its card tables are")

    def variable(name: str) -> int:
        return runtime.gc.address + layout.offset("GcDacVars", name)

    def at(table: int, name: str) -> int:
        return memory.pointer(table + layout.offset("CardTableInfo", name))

    info_bytes = memory.u64(variable("CardTableInfoSize"))
    table = memory.pointer(memory.pointer(variable("BookkeepingStart")))
    found: list[Bookkeeping] = []
    for _ in range(LIMITS.gc_bookkeeping_tables):
        size, lowest, highest = at(table, "Size"), at(table, "LowestAddress"), at(table, "HighestAddress")
        if not size or table + size >= 1 << 64 or lowest >= highest:
            raise Malformed(f"the GC's tables at {table:#x} claim {size} bytes for {lowest:#x} to {highest:#x}")
        if memory.u32(table + layout.offset("CardTableInfo", "Recount")):
            found.append(Bookkeeping(table, table + size, lowest, highest))
        following = at(table, "NextCardTable")
        if following <= info_bytes:
            return found
        table = following - info_bytes  # the link names the cards, which begin behind the information
    raise LimitExceeded(f"the list of the GC's tables is longer than {LIMITS.gc_bookkeeping_tables}, or runs in a circle")
