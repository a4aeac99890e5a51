"""The stack trace that an exception object carries: where it went through while it was thrown.

Source: src/coreclr/vm/object.h and clrex.h of v6.0 to v10.0 (StackTraceArray, StackTraceElement): a byte array with a head of 16 bytes, the
number of elements in its first four, then 32 bytes an element. Since 9.0 the field may hold an Object[] whose first element is that array.
"""

from dataclasses import dataclass
from struct import iter_unpack

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS

_ARRAY_DATA = 16  # behind the MethodTable, the length and its padding
_HEAD_BYTES = 16
_ELEMENT_BYTES = 32
_IP_ADJUSTED = 2  # STEF_IP_ADJUSTED: the address is of the call already, not of the instruction behind it


@dataclass(frozen=True, slots=True)
class ThrownFrame:
    """One element: `ip` is a return address unless `adjusted` or it faulted there."""

    ip: int
    sp: int
    method_desc: int
    adjusted: bool


def read_thrown_frames(memory: Memory, layout: Layout, exception: int) -> list[ThrownFrame]:
    """Frames of the exception at an address, innermost first; none for one that was not thrown. Raises Unreadable, LimitExceeded."""
    array = memory.pointer(exception + layout.offset("Exception", "_stackTrace"))
    if not array:
        return []
    if _is_object_array(memory, layout, array):
        array = memory.pointer(array + _ARRAY_DATA)
        if not array:
            return []
    length = memory.u32(array + layout.offset("Array", "m_NumComponents"))
    count = memory.u32(array + _ARRAY_DATA)
    if count > LIMITS.stack_frames or _HEAD_BYTES + count * _ELEMENT_BYTES > length:
        raise LimitExceeded(f"the stack trace of the exception at {exception:#x} claims {count} frames in {length} bytes")
    data = memory.bytes(array + _ARRAY_DATA + _HEAD_BYTES, count * _ELEMENT_BYTES)
    return [ThrownFrame(ip, sp, method, bool(flags & _IP_ADJUSTED)) for ip, sp, method, flags in iter_unpack("<QQQQ", data)]


def _is_object_array(memory: Memory, layout: Layout, array: int) -> bool:
    method_table = memory.pointer(array) & ~layout.constant("ObjectToMethodTableUnmask")
    flags = memory.u32(method_table + layout.offset("MethodTable", "MTFlags"))
    return flags & layout.constant("MethodTableFlags.ComponentSizeMask") == 8
