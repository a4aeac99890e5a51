"""Methods that the runtime itself suspends (runtime async, 10.0 and later): which take a continuation, and with which signature.

A method that returns a Task has a MethodDesc as it was declared, and one that is called by `await`: it returns what the task gives, and
takes the continuation to go on with as a hidden argument (null at its first call). Source: AsyncMethodData, AsyncMethodKind and
MethodDesc::GetAddrOfAsyncMethodData of src/coreclr/vm/method.hpp, v10.0. 11.0 has flags in place of the kind, which no build has shown yet.
"""

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS

_CLASSIFICATION, _DECLARED, _INSTANTIATED = 7, 0, 5  # MethodClassification
_OPTIONAL_SLOTS = ((0x08, 8), (0x10, 16), (0x20, 8))  # (flag, bytes): non-vtable slot, MethodImpl, native code slot, in this order
_VARIANT_IMPLEMENTATION, _VARIANT_THUNK, _EXPLICIT = 3, 4, 5  # AsyncMethodKind of those that take a continuation
_DATA_BYTES = 24
_WORD = 8


def takes_continuation(memory: Memory, layout: Layout, method_desc: int) -> bool:
    """Whether a method is called with a continuation. Raises Malformed where it cannot be told, Unreadable."""
    if not _has_data(memory, layout, method_desc):
        return False
    kind = _kind(memory, layout, method_desc)
    if kind is None:
        raise Malformed(f"whether the method at {method_desc:#x} takes a continuation is not known")
    return kind in (_VARIANT_IMPLEMENTATION, _VARIANT_THUNK, _EXPLICIT)


def async_signature(memory: Memory, layout: Layout, method_desc: int) -> bytes | None:
    """The signature of the variant that is called by `await`; None for every other method, whose signature is in the metadata."""
    kind = _kind(memory, layout, method_desc) if _has_data(memory, layout, method_desc) else None
    if kind not in (_VARIANT_IMPLEMENTATION, _VARIANT_THUNK):
        return None
    field = _data(memory, layout, method_desc) + layout.offset("AsyncMethodData", "Signature")
    size = memory.u32(field + _WORD)
    if size > LIMITS.method_signature_bytes:
        raise LimitExceeded(f"the asynchronous method at {method_desc:#x} claims {size} bytes of signature")
    return memory.bytes(memory.pointer(field), size)


def _has_data(memory: Memory, layout: Layout, method_desc: int) -> bool:
    if not layout.has_constant("MethodDescFlags.HasAsyncMethodData"):
        return False
    return bool(memory.u16(method_desc + layout.offset("MethodDesc", "Flags")) & layout.constant("MethodDescFlags.HasAsyncMethodData"))


def _kind(memory: Memory, layout: Layout, method_desc: int) -> int | None:
    """The AsyncMethodKind; None where the layout has none, or for a class of MethodDesc that has not been seen with one."""
    classification = memory.u16(method_desc + layout.offset("MethodDesc", "Flags")) & _CLASSIFICATION
    if not layout.has("AsyncMethodData", "Kind") or classification not in (_DECLARED, _INSTANTIATED):
        return None
    return memory.u32(_data(memory, layout, method_desc) + layout.offset("AsyncMethodData", "Kind"))


def _data(memory: Memory, layout: Layout, method_desc: int) -> int:
    """Address of the AsyncMethodData, the last of what may follow a MethodDesc."""
    return method_desc + _bytes_before_data(memory, layout, method_desc)


def _bytes_before_data(memory: Memory, layout: Layout, method_desc: int) -> int:
    flags = memory.u16(method_desc + layout.offset("MethodDesc", "Flags"))
    size = layout.size("MethodDesc" if flags & _CLASSIFICATION == _DECLARED else "InstantiatedMethodDesc")
    return size + sum(width for flag, width in _OPTIONAL_SLOTS if flags & flag)


def check_chunk(memory: Memory, layout: Layout, chunk: int) -> None:
    """That MethodDescs of a chunk lie where the sizes of those before them say. Raises Malformed, Unreadable; nothing before 10.0."""
    if not layout.has_constant("MethodDescFlags.HasAsyncMethodData"):
        return
    unit, first = layout.constant("MethodDescAlignment"), chunk + layout.size("MethodDescChunk")
    units = memory.u8(chunk + layout.offset("MethodDescChunk", "Size")) + 1
    method_desc = first
    while method_desc < first + units * unit:
        index = memory.u8(method_desc + layout.offset("MethodDesc", "ChunkIndex"))
        if index * unit != method_desc - first:
            raise Malformed(f"size of MethodDesc: the one at {method_desc:#x} says that it is {index} units into its chunk")
        flags = memory.u16(method_desc + layout.offset("MethodDesc", "Flags"))
        if flags & _CLASSIFICATION not in (_DECLARED, _INSTANTIATED):
            return  # those of other classes are not measured here
        has_data = _has_data(memory, layout, method_desc)
        kind = _kind(memory, layout, method_desc) if has_data else 0
        if kind is not None and kind > _EXPLICIT:
            raise Malformed(f"AsyncMethodData.Kind: the method at {method_desc:#x} is of kind {kind}")
        method_desc += _bytes_before_data(memory, layout, method_desc) + has_data * _DATA_BYTES
