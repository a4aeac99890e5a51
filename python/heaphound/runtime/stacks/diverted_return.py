"""Where a method really returns to whose return address a collection has overwritten, to catch its thread there (a hijacked return).

Until the method returns no Frame tells of it: the address on the stack is that of OnHijackTripThread, in the runtime. The Thread remembers
what stood there and where, in two fields one after another (m_pvHJRetAddr and m_ppvHJRetAddrPtr of src/coreclr/vm/threads.h, v3.1 to v10.0;
Thread::HijackThread of threadsuspend.cpp), found by the place. The runtime itself puts the address back before it walks a stack.
"""

from dataclasses import replace

from heaphound.dump.memory import Memory
from heaphound.dump.native_registers import IP_SP_FP
from heaphound.runtime.stacks.registers import RegisterContext, code_address

THREAD_BYTES = 2_048  # of the Thread that are searched: the fields lie in its first 400 from 3.1 to 10.0
_WORD = 8


class DivertedReturn:
    """The return that one thread is to be caught at."""

    def __init__(self, memory: Memory, thread: int) -> None:
        self._words = memory.words(thread, memory.readable_bytes(thread, THREAD_BYTES) // _WORD)

    def undone(self, caller: RegisterContext) -> RegisterContext | None:
        """The caller's registers with the address that was overwritten; None where it was not this return."""
        link = caller.machine == "arm64"  # which has the address in a register that the method stored anywhere in its frame
        slot = caller.saved_at.get("lr") if link else caller.sp - _WORD
        for address, place in zip(self._words, self._words[1:], strict=False):
            if place == slot:
                ip = IP_SP_FP[caller.machine][0]
                address = code_address(caller.machine, address)
                return replace(caller, values={**caller.values, ip: address, **({"lr": address} if link else {})})
        return None
