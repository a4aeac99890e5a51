"""g_dacTable of a core, whichever way its entries are written, for a version whose table nobody has described yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from heaphound.dump.core import Core
from heaphound.errors import LayoutError, Unreadable, UsageError
from heaphound.layouts.load import WIDTHS, DACTableWidth, LayoutFile
from heaphound.runtime.dac_table_search import find_dac_table
from heaphound.runtime.locate import FoundRuntime, read_dac_table

MAXIMUM_ENTRIES = 512
_ENTRY_BYTES = {"u32 offset from the image base": 4, "u64 address": 8}


@dataclass(frozen=True)
class DacTable:
    """`entries` are addresses, 0 for a variable that the platform does not have; `holds` is how they are written."""

    entries: tuple[int, ...]
    holds: DACTableWidth

    @cached_property
    def places(self) -> Mapping[int, int]:
        """Index by address; of a variable that is named twice the first."""
        return {address: index for index, address in reversed(list(enumerate(self.entries))) if address}


def read_table(core: Core, found: FoundRuntime, source: LayoutFile | None = None) -> DacTable:
    """Entries up to the first that is neither empty nor an address in the image.

    Where no symbol leads to the table it is searched for in the shape that `source` has. Raises UsageError where it is not found.
    """
    address = found.dac_table
    if address is None and source is not None:
        try:
            address = find_dac_table(core, found.module, source)
        except (LayoutError, Unreadable) as error:
            raise UsageError(f"g_dacTable is not found: {error}") from error
    if address is None:
        raise UsageError("this runtime does not export g_dacTable, or the dump lacks its symbol table")
    tables = [DacTable(_entries(core, found, address, _ENTRY_BYTES[holds]), holds) for holds in WIDTHS.values()]
    return max(tables, key=lambda table: len(table.entries))


def _entries(core: Core, found: FoundRuntime, address: int, entry_bytes: int) -> tuple[int, ...]:
    end = max(found.module.end, found.module.base + (found.module.headers.span_bytes if found.module.headers else 0))
    entries = read_dac_table(core, address, MAXIMUM_ENTRIES, entry_bytes, found.module.base)
    stop = next((i for i, entry in enumerate(entries) if entry and not found.module.base <= entry < end), len(entries))
    while stop and entries[stop - 1] == 0:
        stop -= 1
    return tuple(entries[:stop])
