"""From an instruction pointer to the code fragment that holds it: its unwind information, GC information and method.

JIT code: RealCodeHeader before the method (src/coreclr/vm/codeman.h). Ready-to-run code: the table of RUNTIME_FUNCTIONs, sorted by
begin; GC information follows the UNWIND_INFO and its personality routine (ReadyToRunJitManager::GetGCInfoToken in codeman.cpp).
"""

from heaphound.errors import LayoutError, LimitExceeded, Malformed, Unreadable
from heaphound.limits import LIMITS
from heaphound.runtime.code import CodeLocation, CodeLocator
from heaphound.runtime.code_ranges import CodeSection
from heaphound.runtime.runtime import Runtime
from heaphound.runtime.stacks.frame import FrameCode
from heaphound.runtime.stacks.unwind_x64 import read_unwind_info

_PERSONALITY_BYTES = 4  # its RVA is always there in ready-to-run images


class FrameCodes:
    """Looks up frame code; every answer is kept, so a stack overflow's repeated frames cost one look-up each."""

    def __init__(self, runtime: Runtime, locator: CodeLocator) -> None:
        self._memory = locator.tables
        self._layout = runtime.layout
        self._locator = locator
        self._known: dict[int, FrameCode | None] = {}

    def is_managed(self, address: int) -> bool:
        """Whether an address lies in JIT or ready-to-run code (not in a stub). Raises what `find` raises."""
        return self.find(address) is not None

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
        table = header + layout.offset("RealCodeHeader", "UnwindInfos")
        size = layout.size("RuntimeFunction")
        begin, end, unwind_info = self._function(table)
        for index in range(1, count):
            fragment = self._function(table + size * index)
            if section.start + fragment[0] > found.address:
                break
            begin, end, unwind_info = fragment
        return FrameCode(
            kind="jit",
            start=found.start,
            fragment_start=section.start + begin,
            fragment_end=section.start + end,
            image_base=section.start,
            unwind_info=section.start + unwind_info,
            gc_info=memory.pointer(header + layout.offset("RealCodeHeader", "GCInfo")),
            debug_info=memory.pointer(header + layout.offset("RealCodeHeader", "DebugInfo")) or None,
            method=found.method,
            problem=found.problem,
        )

    def _ready_to_run(self, section: CodeSection, address: int) -> FrameCode | None:
        fragment = self._fragment(section, address)
        if fragment is None:
            return None
        found = self._locator.locate(address)
        if found is None or found.kind != "ready-to-run":
            return None
        main = fragment if found.start == fragment[0] else self._fragment(section, found.start)
        if main is None:
            raise Malformed(f"the method of {address:#x} starts at {found.start:#x}, where the image at {section.start:#x} has no code")
        return FrameCode(
            kind="ready-to-run",
            start=found.start,
            fragment_start=fragment[0],
            fragment_end=fragment[1],
            image_base=section.start,
            unwind_info=fragment[2],
            gc_info=main[2] + read_unwind_info(self._memory, main[2]).size_bytes + _PERSONALITY_BYTES,
            debug_info=None,
            method=found.method,
            problem=found.problem,
        )

    def _fragment(self, section: CodeSection, address: int) -> tuple[int, int, int] | None:
        """(begin, end, unwind information) of the code fragment of an image that holds an address, absolute; None outside of code.

        Halves the table as the runtime does, so that a dump with only the pages it walked suffices.
        """
        memory, layout, base = self._memory, self._layout, section.start
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
            if base + memory.u32(table + size * middle) <= address:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        begin, end, unwind_info = self._function(table + size * (low - 1))
        return (base + begin, base + end, base + unwind_info) if address < base + end else None

    def _function(self, address: int) -> tuple[int, int, int]:
        """(begin, end, unwind information) of one RUNTIME_FUNCTION, relative to the image or code range."""
        memory, layout = self._memory, self._layout
        begin = memory.u32(address + layout.offset("RuntimeFunction", "BeginAddress"))
        end = memory.u32(address + layout.offset("RuntimeFunction", "EndAddress"))
        return begin, end, memory.u32(address + layout.offset("RuntimeFunction", "UnwindData"))


CODE_ERRORS = (Unreadable, Malformed, LayoutError)
