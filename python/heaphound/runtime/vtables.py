"""Addresses of C++ vtables out of the last part of g_dacTable, by which objects of the runtime without a type field are told apart.

src/coreclr/inc/dacvars.h, then vptr_list.h: the runtime's variables come first, in writable memory, then the vtables, in memory that is
read-only once the image is loaded. Where the second part begins moves between patches of one version (8.0.0 has a variable less than
8.0.4); the order within it does not.
"""

from collections.abc import Sequence

from heaphound.dump.elf_image import PT_GNU_RELRO
from heaphound.dump.elf_modules import ElfModule
from heaphound.layouts.schema import Layout

_PREFIX = "VTableIndex."
_RUN = 8  # so many in a row are the vtables: among the variables lies one address of read-only memory, not eight


def first_vtable(module: ElfModule, table: Sequence[int]) -> int | None:
    """Index in g_dacTable of the first vtable; None where the image's headers are not in the dump or the table has no such part."""
    inside = _read_only(module, table)
    return next((index for index in range(len(table) - _RUN) if all(inside[index : index + _RUN])), None)


def vtable_addresses(module: ElfModule, table: Sequence[int], layout: Layout) -> dict[str, int]:
    """Global name (`InlinedCallFrameVTable`) to address, for each constant `VTableIndex.InlinedCallFrame` of the layout.

    Empty where there is no first vtable: what needs a vtable then says that it is missing.
    """
    first, inside = first_vtable(module, table), _read_only(module, table)
    if first is None:
        return {}
    indices = {name.removeprefix(_PREFIX): index for name, index in layout.constants.items() if name.startswith(_PREFIX)}
    return {
        f"{name}VTable": table[first + index] for name, index in indices.items() if first + index < len(table) and inside[first + index]
    }


def _read_only(module: ElfModule, table: Sequence[int]) -> list[bool]:
    """For each entry whether it lies in memory that is read-only once the image is loaded."""
    relro = None if module.headers is None else module.headers.first(PT_GNU_RELRO)
    if relro is None:
        return [False] * len(table)
    start = module.bias + relro.address
    return [start <= address < start + relro.memory_bytes for address in table]
