"""Methods that the runtime implements in its own native code (FCalls): native entry point to MethodDesc.

src/coreclr/vm/ecall.h, ecall.cpp: a hash table of chains, filled when such a method is prepared; the key is the address modulo the size.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS


def internal_call(memory: Memory, layout: Layout, address: int) -> int | None:
    """MethodDesc of the FCall whose code starts at `address`; None when none does, or this runtime has no such table.

    Raises Unreadable, LimitExceeded.
    """
    if not layout.has_global("FCallMethods"):
        return None
    table = layout.global_address("FCallMethods")
    entry = memory.pointer(table + 8 * (address % layout.constant("FCallHashSize")))
    for _ in range(LIMITS.internal_call_chain):
        if not entry:
            return None
        if memory.pointer(entry + layout.offset("ECHash", "Implementation")) == address:
            return memory.pointer(entry + layout.offset("ECHash", "MethodDesc"))
        entry = memory.pointer(entry + layout.offset("ECHash", "Next"))
    raise LimitExceeded(f"the runtime's table of internal calls has a chain of more than {LIMITS.internal_call_chain} entries")
