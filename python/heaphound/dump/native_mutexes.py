"""Which thread holds the pthread mutex that a thread is blocked in: both C libraries write the holder's kernel id into the mutex.

glibc (sysdeps/nptl/bits/struct_mutex.h, nptl/lowlevellock.c, 2.17 to 2.41): `__lock`, `__count`, `__owner` are the first three words; a
thread that waits has called futex(&__lock, FUTEX_WAIT, 2). musl (src/internal/pthread_impl.h, src/thread/pthread_mutex_timedlock.c, 1.1 to
1.2): `_m_lock` is the holder's id, with the highest bit while somebody waits, and that is the value which the futex call names; mutexes of
the normal kind, which do not know their holder, have 16 there.
"""

from collections.abc import Collection

from heaphound.dump.memory import Memory
from heaphound.dump.registers import ThreadRegisters
from heaphound.dump.system_calls import system_call
from heaphound.errors import Unreadable

_ARGUMENTS = {"x64": ("rdi", "rsi", "rdx"), "arm64": ("x0", "x1", "x2")}
_FUTEX_COMMAND, _FUTEX_WAIT = 0x7F, 0  # include/uapi/linux/futex.h: without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
_CONTENDED = 2
_GLIBC_OWNER = 8
_MUSL_WAITERS, _MUSL_ID = 0x80000000, 0x3FFFFFFF
_WORD = 0xFFFFFFFF


def mutex_holder(memory: Memory, thread: ThreadRegisters, os_ids: Collection[int]) -> tuple[int, int] | None:
    """(address of the mutex, kernel id of the thread that holds it); None for a thread that is in no mutex of the C library, or whose
    holder is none of `os_ids`, the threads of the process."""
    if system_call(memory, thread) != "futex":
        return None
    address, command, value = (thread.registers[name] for name in _ARGUMENTS[thread.machine])
    if command & _FUTEX_COMMAND != _FUTEX_WAIT:
        return None
    value &= _WORD
    try:
        if memory.u32(address) != value:
            return None  # it was released just now
        owner = memory.u32(address + _GLIBC_OWNER) if value == _CONTENDED else value & _MUSL_ID if value & _MUSL_WAITERS else 0
    except Unreadable:
        return None
    return (address, owner) if owner in os_ids and owner != thread.os_id else None
