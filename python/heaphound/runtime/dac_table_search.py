"""Find g_dacTable where no symbol leads to it: .NET Core 3.x does not export it, and a kernel's core lacks the images' symbol tables.

Up to 6 the table lies in .bss and is filled when the runtime starts: u32 offsets of the runtime's variables from the image base
(src/inc/dacvars.h of 3.1, whose order is the same from 3.0.0 to 3.1.32). Since then it holds whole addresses, by which Windows has it as
constant data (debug/ee/dactable.cpp, dotnet/runtime#68065 of 2022). One of the variables points to GcDacVars, which looks like nothing
else; it then stands in the table, at a place that the layout knows.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from heaphound.dump.core import Core
from heaphound.dump.elf_image import PF_WRITE
from heaphound.dump.elf_modules import ElfModule
from heaphound.errors import LayoutError, Unreadable
from heaphound.layouts.load import LayoutFile
from heaphound.runtime.gc_variables import looks_like_gc_variables

_OFFSET_BYTES = 4
_ENTRY_TYPES = {4: "<u4", 8: "<u8"}
_LOWEST_POINTER = 0x10000
_MAJOR_MASK = np.uint64(0xFFFFFFFFFFFF0000)  # version bytes and padding in front of GenerationSize
_LARGEST_GENERATION = np.uint64(4096)


def searchable(module: ElfModule, source: LayoutFile) -> bool:
    """Whether the table of this version can be found by search, and the dump has the image's headers, which say where its memory ends."""
    return source.dac_table.entry_bytes in _ENTRY_TYPES and module.headers is not None


def find_dac_table(core: Core, module: ElfModule, source: LayoutFile) -> int:
    """Address of the table in the dump. Costs one pass over the image's writable memory, some hundred thousand words.

    Raises LayoutError where nothing in the dump fits, Unreadable without the image's headers.
    """
    shape = source.dac_table
    if module.headers is None:
        raise Unreadable(module.base, 64)
    end = module.base + module.headers.span_bytes
    low = 0 if shape.entry_bytes == _OFFSET_BYTES else module.base
    for variable in _variables(core, source, list(_resident(core, module.base, end, PF_WRITE))):
        entry = variable - module.base + low
        where = PF_WRITE if shape.entry_bytes == _OFFSET_BYTES else 0  # code and relocations hold the same numbers as offsets by chance
        for start, raw in _resident(core, module.base, end, where):
            words = np.frombuffer(raw, _ENTRY_TYPES[shape.entry_bytes], len(raw) // shape.entry_bytes)
            for place in np.flatnonzero(words == entry).tolist():
                table = start + shape.entry_bytes * (place - shape.globals["GcDacVars"][0])
                if _is_table(core, table, source, low, low + module.headers.span_bytes):
                    return table
    raise LayoutError("self-check g_dacTable: nothing in the image's memory looks like it")


def _resident(core: Core, start: int, end: int, wanted_flags: int) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) of what the dump holds of the image's memory with these flags; .bss, which belongs to no file, is part of it."""
    for address, size, _, _, flags in core.image.segments:
        low, high = max(start, address), min(end, address + size)
        if flags & wanted_flags == wanted_flags and low < high:
            try:
                yield low, core.memory.bytes(low, high - low)
            except Unreadable:  # a truncated dump: the rest is searched all the same
                continue


def _variables(core: Core, source: LayoutFile, parts: list[tuple[int, bytes]]) -> Iterator[int]:
    """Addresses of variables that point to what looks like GcDacVars (g_gcDacGlobals)."""
    layout = source.layout
    for start, raw in parts:
        words: npt.NDArray[np.uint64] = np.frombuffer(raw, "<u8", len(raw) // 8)
        rows = np.flatnonzero((words >= np.uint64(_LOWEST_POINTER)) & (words & np.uint64(7) == 0) & (words < np.uint64(1 << 56)))
        versions, present = core.image.gather_u64(words[rows])
        sizes, sizes_present = core.image.gather_u64(words[rows] + np.uint64(layout.offset("GcDacVars", "GenerationSize")))
        like = present & sizes_present & (versions & _MAJOR_MASK == 0) & (versions > 0) & (sizes < _LARGEST_GENERATION)
        for row in rows[like].tolist():
            if looks_like_gc_variables(core.memory, layout, start + 8 * row):
                yield start + 8 * row


def _is_table(core: Core, address: int, source: LayoutFile, low: int, high: int) -> bool:
    """Whether all entries lie inside the image and most are not empty."""
    shape = source.dac_table
    try:
        raw = core.memory.bytes(address, shape.entry_bytes * shape.entry_count)
    except Unreadable:
        return False
    entries = np.frombuffer(raw, _ENTRY_TYPES[shape.entry_bytes])
    filled = entries[entries != 0]
    return len(filled) > shape.entry_count // 2 and bool(((filled >= low) & (filled < high)).all())
