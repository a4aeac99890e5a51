"""Where a method's JIT code ends, by the unwind information at its RealCodeHeader (src/coreclr/vm/codeman.h).

The nibble map tells starts alone, so that it names the method before for an address behind a method's end: the block of another one that
was freed or is just being made. The runtime looks there too before it unwinds (EEJitManager::LazyGetFunctionEntry of codeman.cpp).
"""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.runtime_functions import piece_bytes


def jit_code_end(memory: Memory, layout: Layout, base: int, header: int) -> int:
    """The address behind the last of the code fragments that a RealCodeHeader lists; `base` is the start of the code section, from which
    they count. Raises Unreadable, Malformed and LayoutError."""
    count = memory.u32(header + layout.offset("RealCodeHeader", "NumUnwindInfos"))
    if not 0 < count <= LIMITS.code_fragments:
        raise LimitExceeded(f"the method whose RealCodeHeader is at {header:#x} claims {count} code fragments")
    last = header + layout.offset("RealCodeHeader", "UnwindInfos") + layout.size("RuntimeFunction") * (count - 1)
    if layout.has("RuntimeFunction", "EndAddress"):
        return base + memory.u32(last + layout.offset("RuntimeFunction", "EndAddress"))
    unwind_data = memory.u32(last + layout.offset("RuntimeFunction", "UnwindData"))
    begin = base + memory.u32(last + layout.offset("RuntimeFunction", "BeginAddress"))
    return begin + piece_bytes(unwind_data, lambda rva, size_bytes: memory.bytes(base + rva, size_bytes))
