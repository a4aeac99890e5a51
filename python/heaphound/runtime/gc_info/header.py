"""The header of GcInfo (GcInfoDecoder's constructor and PredecodeFatHeader, src/coreclr/vm/gcinfodecoder.cpp).

Version 2: 3.0 to 8.0; version 3: 9.0, the same bits; version 4: 10.0, without return kinds and with call sites stored as they are.
"""

from dataclasses import dataclass
from typing import Literal

from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS
from heaphound.runtime.gc_info.bits import BitReader
from heaphound.runtime.gc_info.encoding import GcInfoEncoding

MINIMUM_VERSION, MAXIMUM_VERSION = 2, 4
_WITHOUT_RETURN_KIND = 4
_EXACT_SAFE_POINTS = 4
_ABORTED_BEHIND_CALLS = 3
_CONTEXT_FROM_FRAME_REGISTER = 4

_VARARG, _GS_COOKIE, _PSP_SYM, _CONTEXT_MASK, _STACK_BASE, _ONLY_LEAF, _EDIT_AND_CONTINUE, _REVERSE_PINVOKE = (
    0x1,
    0x4,
    0x8,
    0x30,
    0x40,
    0x80,
    0x100,
    0x200,
)
_FLAG_BITS = 10
GenericContext = Literal["none", "method table", "method", "this"]
_CONTEXTS: tuple[GenericContext, ...] = ("none", "method table", "method", "this")


@dataclass(frozen=True, slots=True)
class GcInfoHeader:
    """What precedes the tables. Offsets are in bytes; slots of GS cookie, context and PSPSym are offsets, None where there is none."""

    version: int
    slim: bool
    variable_arguments: bool
    code_length: int
    gs_cookie_slot: int | None
    psp_sym_slot: int | None
    generic_context: GenericContext
    generic_context_slot: int | None
    stack_base_register: int | None
    """Number of the register that slots relative to the frame count from."""
    only_leaf: bool
    """Whether funclets report the slots of the whole method, and the main body below them nothing."""
    reverse_pinvoke_slot: int | None
    outgoing_bytes: int
    """Size of the area at the stack pointer for arguments of calls, dead in frames that are not innermost."""
    safe_point_count: int
    range_count: int
    instruction_shift: int
    """Two to the power of this divides every offset of an instruction."""

    @property
    def aborted_behind_calls(self) -> bool:
        """Whether a frame that a call was torn out of holds what is live behind the call, so that the call's operands are dead (9.0).

        Runtimes before ask for what was live inside of it (`flags & AbortingCall` in EnumGcRefs of src/coreclr/vm/eetwain.cpp, v8.0).
        Observed of the DACs of 9.0.11, in 7 of 7 frames in which the two differ, and of 6.0.6 and 8.0.4.
        """
        return self.version >= _ABORTED_BEHIND_CALLS

    @property
    def exact_safe_points(self) -> bool:
        """Whether call sites are stored as return addresses, not as offsets one byte before them."""
        return self.version >= _EXACT_SAFE_POINTS

    @property
    def context_counts_from_frame_register(self) -> bool:
        """Whether the slot of the generic context is an offset from the frame register, not from the caller's stack pointer."""
        return self.version >= _CONTEXT_FROM_FRAME_REGISTER and self.stack_base_register is not None

    @property
    def offset_shift(self) -> int:
        """Offsets are stored divided by two to the power of this: one byte before a return address cannot be divided."""
        return self.instruction_shift if self.exact_safe_points else 0


def read_header(reader: BitReader, version: int, encoding: GcInfoEncoding) -> GcInfoHeader:
    """Decode the header; the reader stands at the call sites afterwards. Raises Malformed, Unreadable."""
    if not MINIMUM_VERSION <= version <= MAXIMUM_VERSION:
        raise Malformed(f"GcInfo of version {version} is not known")
    slim = not reader.flag()
    flags = (_STACK_BASE if reader.flag() else 0) if slim else reader.read(_FLAG_BITS)
    if version < _WITHOUT_RETURN_KIND:
        reader.skip(encoding.return_kind_bits_slim if slim else encoding.return_kind_bits_fat)
    length = reader.unsigned(encoding.code_length_base) << encoding.instruction_shift
    if length > LIMITS.method_code_bytes:
        raise LimitExceeded(f"GcInfo claims a method of {length} bytes of code")
    context = (flags & _CONTEXT_MASK) >> 4
    if flags & _GS_COOKIE or context:
        reader.unsigned(encoding.prolog_size_base)
    if flags & _GS_COOKIE:
        reader.unsigned(encoding.epilog_size_base)
    gs_cookie = _slot(reader, encoding) if flags & _GS_COOKIE else None
    psp_sym = _slot(reader, encoding) if flags & _PSP_SYM else None
    context_slot = _slot(reader, encoding) if context else None
    base = None
    if flags & _STACK_BASE:
        base = encoding.frame_register ^ (0 if slim else reader.unsigned(encoding.stack_base_register_base))
        if base >= len(encoding.registers):
            raise Malformed(f"GcInfo names register {base} as the base of its slots")
    if flags & _EDIT_AND_CONTINUE:
        reader.unsigned(encoding.edit_and_continue_base)
        if encoding.has_fixed_stack_frame:
            reader.unsigned(encoding.edit_and_continue_base)
    reverse_pinvoke = _slot(reader, encoding) if flags & _REVERSE_PINVOKE else None
    outgoing = 0 if slim else reader.unsigned(encoding.stack_area_base) * 8
    safe_points = _count(reader.unsigned(encoding.num_safe_points_base), length, "call sites")
    ranges = 0 if slim else _count(reader.unsigned(encoding.num_interruptible_ranges_base), length, "interruptible ranges")
    return GcInfoHeader(
        version=version,
        slim=slim,
        variable_arguments=bool(flags & _VARARG),
        code_length=length,
        gs_cookie_slot=gs_cookie,
        psp_sym_slot=psp_sym,
        generic_context=_CONTEXTS[context],
        generic_context_slot=context_slot,
        stack_base_register=base,
        only_leaf=bool(flags & _ONLY_LEAF) if encoding.report_only_leaf is None else encoding.report_only_leaf,
        reverse_pinvoke_slot=reverse_pinvoke,
        outgoing_bytes=outgoing,
        safe_point_count=safe_points,
        range_count=ranges,
        instruction_shift=encoding.instruction_shift,
    )


def _slot(reader: BitReader, encoding: GcInfoEncoding) -> int:
    return reader.signed(encoding.stack_slot_base) * 8


def _count(count: int, code_length: int, what: str) -> int:
    """There cannot be more of them than bytes of code."""
    if count > code_length:
        raise Malformed(f"GcInfo claims {count} {what} in {code_length} bytes of code")
    return count
