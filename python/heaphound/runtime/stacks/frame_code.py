"""From an instruction pointer to the code fragment that holds it: its unwind information, GC information and method.

JIT code: RealCodeHeader before the method (src/coreclr/vm/codeman.h). Ready-to-run code: the table of RUNTIME_FUNCTIONs, sorted by
begin; GC information follows the unwind data and its personality routine (ReadyToRunJitManager::GetGCInfoToken in codeman.cpp).
"""

from dataclasses import dataclass

from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocation, CodeLocator
from heaphound.runtime.code_ranges import CodeSection
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.runtime_functions import piece_bytes
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.unwinding import continues, gc_info_address


class FrameCodes:
    """Looks up frame code; every answer is kept, so a stack overflow's repeated frames cost one look-up each."""

    def __init__(self, runtime: Runtime, locator: CodeLocator) -> None:
        self.tables = locator.tables
        self._memory = locator.tables
        self._layout = runtime.layout
        self._machine = runtime.core.machine
        self._locator = locator
        self._known: dict[int, FrameCode | None] = {}

    def is_managed(self, address: int) -> bool:
        """Whether an address lies in JIT or ready-to-run code (not in a stub). Raises what `find` raises."""
        return self.find(address) is not None

    def is_in_managed_range(self, address: int) -> bool:
        """Whether an address lies in a range of managed code, also where the dump lacks what tells its method. Raises Unreadable,
        LayoutError, LimitExceeded."""
        section = self._locator.section_at(address)
        return section is not None and section.kind != "stubs"

    def ends_native_frames(self, address: int) -> bool:
        """Whether native frames end at an address: it is managed code, also where that cannot be undone. Raises nothing of the dump's."""
        try:
            return self.is_managed(address)
        except (Unreadable, Malformed, LayoutError):
            # A dump without images lacks the tables of ready-to-run code: native it is not, and no call frame information undoes it.
            try:
                return self.is_in_managed_range(address)
            except (Unreadable, Malformed, LayoutError):
                return False

    def find(self, address: int) -> FrameCode | None:
        """The code at an address; None when it is no managed code. Raises Unreadable, Malformed, LayoutError."""
        if address not in self._known:
            self._known[address] = self._find(address)
        return self._known[address]

    def _find(self, address: int) -> FrameCode | None:
        section = self._locator.section_at(address)
        if section is None or section.kind == "stubs":
            return None
        if section.kind == "ready-to-run":
            return self._ready_to_run(section, address)
        found = self._locator.locate(address)
        return None if found is None or found.kind != "jit" else self._jit(section, found)

    def _jit(self, section: CodeSection, found: CodeLocation) -> FrameCode:
        memory, layout = self._memory, self._layout
        header = memory.pointer(found.start - 8)
        count = memory.u32(header + layout.offset("RealCodeHeader", "NumUnwindInfos"))
        if not 0 < count <= LIMITS.code_fragments:
            raise LimitExceeded(f"the method at {found.start:#x} claims {count} code fragments")
        first = header + layout.offset("RealCodeHeader", "UnwindInfos")
        size = layout.size("RuntimeFunction")
        low, high = 0, count  # the main body comes first, the others ascend from there
        while high - low > 1:
            middle = (low + high) // 2
            if self._begin(section, first + size * middle) > found.address:
                high = middle
            else:
                low = middle
        piece = self._piece(section, first + size * low)
        if found.address >= piece.end:
            behind = f"{found.address:#x} is {found.address - piece.end} bytes behind a part of the method before it"
            raise Malformed(found.problem or behind)
        return FrameCode(
            kind="jit",
            start=found.start,
            fragment_start=piece.begin,
            fragment_end=piece.end,
            image_base=section.start,
            unwind_info=piece.unwind_info,
            gc_info=memory.pointer(header + layout.offset("RealCodeHeader", "GCInfo")),
            debug_info=memory.pointer(header + layout.offset("RealCodeHeader", "DebugInfo")) or None,
            method=found.method,
            problem=found.problem,
            first_fragment_start=self._first(section, piece, first),
        )

    def _ready_to_run(self, section: CodeSection, address: int) -> FrameCode | None:
        piece = self._piece_at(section, address)
        if piece is None:
            return None
        found = self._locator.locate(address)
        if found is None or found.kind != "ready-to-run":
            return None
        main = piece if found.start == piece.begin else self._piece_at(section, found.start)
        if main is None:
            raise Malformed(f"the method of {address:#x} starts at {found.start:#x}, where the image at {section.start:#x} has no code")
        return FrameCode(
            kind="ready-to-run",
            start=found.start,
            fragment_start=piece.begin,
            fragment_end=piece.end,
            image_base=section.start,
            unwind_info=piece.unwind_info,
            gc_info=gc_info_address(self._memory, self._machine, section.start, main.unwind_info),
            debug_info=None,
            method=found.method,
            problem=found.problem,
            first_fragment_start=self._first(section, piece, main.entry),
        )

    def _piece_at(self, section: CodeSection, address: int) -> "_Piece | None":
        """The piece of code of an image that holds an address; None outside of code.

        Halves the table as the runtime does, so that a dump with only the pages it walked suffices.
        """
        memory, layout = self._memory, self._layout
        info = memory.pointer((section.module or 0) + layout.offset("Module", "ReadyToRunInfo"))
        if info and layout.has("ReadyToRunInfo", "CompositeInfo"):
            info = memory.pointer(info + layout.offset("ReadyToRunInfo", "CompositeInfo")) or info
        table = memory.pointer(info + layout.offset("ReadyToRunInfo", "RuntimeFunctions")) if info else 0
        if not table:
            return None
        size = layout.size("RuntimeFunction")
        low, high = 0, memory.u32(info + layout.offset("ReadyToRunInfo", "NumRuntimeFunctions"))
        while low < high:
            middle = (low + high) // 2
            if self._begin(section, table + size * middle) <= address:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        piece = self._piece(section, table + size * (low - 1))
        return piece if address < piece.end else None

    def _first(self, section: CodeSection, piece: "_Piece", first: int) -> int | None:
        """Where the main body or funclet begins of which a piece is a further one, in the table from `first` on; None for the first."""
        entry, unwind_info = piece.entry, piece.unwind_info
        for _ in range(LIMITS.code_fragments):
            if entry <= first or not continues(self._memory, self._machine, section.start, unwind_info):
                return None if entry == piece.entry else self._begin(section, entry)
            entry -= self._layout.size("RuntimeFunction")
            unwind_info = section.start + self._memory.u32(entry + self._layout.offset("RuntimeFunction", "UnwindData"))
        raise LimitExceeded(f"the code at {piece.begin:#x} continues more than {LIMITS.code_fragments} others")

    def _begin(self, section: CodeSection, entry: int) -> int:
        return section.start + self._memory.u32(entry + self._layout.offset("RuntimeFunction", "BeginAddress"))

    def _piece(self, section: CodeSection, entry: int) -> "_Piece":
        """What the RUNTIME_FUNCTION at an address says; its numbers are relative to the image or code range."""
        memory, layout, base = self._memory, self._layout, section.start
        begin = self._begin(section, entry)
        unwind_data = memory.u32(entry + layout.offset("RuntimeFunction", "UnwindData"))
        if layout.has("RuntimeFunction", "EndAddress"):
            end = base + memory.u32(entry + layout.offset("RuntimeFunction", "EndAddress"))
        else:
            end = begin + piece_bytes(unwind_data, lambda rva, size: memory.bytes(base + rva, size))
        return _Piece(entry, begin, end, base + unwind_data)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One RUNTIME_FUNCTION at the address `entry`; the others are absolute, `unwind_info` as in `FrameCode`."""

    entry: int
    begin: int
    end: int
    unwind_info: int


CODE_ERRORS = (Unreadable, Malformed, LayoutError)
