"""Stubs by which methods are called before (or instead of) their code: which MethodDesc they stand for, or where they jump.

A pointer to a method is mostly a pointer to its precode, also long after the method was compiled. Sources: src/coreclr/vm/amd64/cgencpu.h,
vm/precode.h, vm/callcounting.h and amd64 stub sources of 6.0 to 10.0: until 6.0 a stub carries its data in the instructions ("inline"),
since 7.0 in a page at a fixed distance ("data-page") that the instructions address relative to themselves. Those of arm64 are in
`precode_arm64`.
"""

from struct import unpack_from

from heaphound.dump.memory import Memory
from heaphound.errors import Unreadable
from heaphound.layouts.schema import Layout
from heaphound.runtime.precode_arm64 import ARM64_PRECODES, decode_arm64_stub, read_stub_precode_arm64
from heaphound.runtime.stub_code import StubCode

_STUB_BYTES = 40  # the longest pattern below
_FIXUP_BYTES = 8
_STUB_PRECODE_BYTES = 13
_FIXUP_TYPES = (0x5E, 0x5F)  # before and after the method was prepared (cgencpu.h, FixupPrecode)
_PAGE_MASK = 0xFFF
_THIS_POINTER_RETURN_BUFFER = bytes.fromhex("90488bc7488bfe488bf090e9")  # ThisPtrRetBufPrecode: swap rdi and rsi, jump; MethodDesc behind
_SHUFFLE_START = bytes.fromhex("488bc44989fb")  # mov rax, rsp; mov r11, rdi (the delegate)


def decode_stub(memory: Memory, layout: Layout, address: int) -> StubCode | None:
    """The stub at `address`; None when its instructions are none of those known. Raises Unreadable when data that they name is missing."""
    if layout.contract("Precodes") in ARM64_PRECODES:
        return decode_arm64_stub(memory, layout, address)
    present = memory.readable_bytes(address, _STUB_BYTES)
    if present < _FIXUP_BYTES:
        return None
    code = memory.bytes(address, present) + bytes(_STUB_BYTES - present)
    if code.startswith(_SHUFFLE_START):
        return StubCode("shuffle-thunk")
    own = _inline(memory, layout, address, code) if layout.contract("Precodes") == "inline" else _paged(memory, layout, address, code)
    return own or _jump(memory, address, code)


def _paged(memory: Memory, layout: Layout, address: int, code: bytes) -> StubCode | None:
    if code.startswith(b"\xff\x25") and code[6:9] == b"\x4c\x8b\x15" and code[13:15] == b"\xff\x25":  # FixupPrecode
        return StubCode("precode", method_desc=_relative_value(memory, address + 6, code[6:], 3))
    if code.startswith(b"\x4c\x8b\x15") and code[7:9] == b"\xff\x25":
        return _stub_precode(memory, layout, address, code)
    if code.startswith(b"\x48\x8b\x05") and code[7:11] == b"\x66\xff\x08\x74":  # CallCountingStub: count down, then one of two jumps
        return StubCode("call-counting", target=_relative_value(memory, address + 12, code[12:], 2))
    if code.startswith(_THIS_POINTER_RETURN_BUFFER):
        return StubCode("precode", method_desc=_u64(code, 16))
    return None


def read_stub_precode(memory: Memory, layout: Layout, address: int) -> tuple[int, int] | None:
    """(kind, first word of its data) of the StubPrecode at `address`; None where there is none. Raises Unreadable.

    Of the layouts whose stubs have pages of data.
    """
    if layout.contract("Precodes") in ARM64_PRECODES:
        return read_stub_precode_arm64(memory, layout, address)
    if not memory.readable(address, _STUB_PRECODE_BYTES):
        return None
    code = memory.bytes(address, _STUB_PRECODE_BYTES)
    if not code.startswith(b"\x4c\x8b\x15") or code[7:9] != b"\xff\x25":
        return None
    distance = 7 + _i32(code, 3)
    if distance & _PAGE_MASK:
        return None
    kind = memory.u8(address + distance + layout.offset("StubPrecodeData", "Type"))
    return kind, _relative_value(memory, address, code, 3)


def _stub_precode(memory: Memory, layout: Layout, address: int, code: bytes) -> StubCode:
    """A StubPrecode, whose data say of which kind it is; or the second entry of a FixupPrecode, whose data are not page-aligned with it."""
    found = read_stub_precode(memory, layout, address)
    if found is None:
        return StubCode("precode", method_desc=_relative_value(memory, address, code, 3))
    kind, value = found
    if kind in (layout.constant("StubPrecodeType.Stub"), layout.constant("StubPrecodeType.PInvokeImport")):
        return StubCode("precode", method_desc=value)
    if layout.has_constant("StubPrecodeType.ThisPtrRetBuf") and kind == layout.constant("StubPrecodeType.ThisPtrRetBuf"):
        return StubCode("precode", method_desc=memory.pointer(value + layout.offset("ThisPtrRetBufPrecodeData", "MethodDesc")))
    return StubCode("native-entry")


def _inline(memory: Memory, layout: Layout, address: int, code: bytes) -> StubCode | None:
    if code[0] in (0xE8, 0xE9) and code[5] in _FIXUP_TYPES:
        return StubCode("precode", method_desc=_fixup_method_desc(memory, layout, address, code))
    if code.startswith(b"\x49\xba") and code[10] in (0x40, 0xF8) and code[11] == 0xE9:  # StubPrecode, NDirectImportPrecode
        return StubCode("precode", method_desc=_u64(code, 2))
    if code.startswith(_THIS_POINTER_RETURN_BUFFER):
        return StubCode("precode", method_desc=_u64(code, 16))
    if code.startswith(b"\x48\xb8") and code[10:15] == b"\x66\xff\x08\x0f\x85":  # CallCountingStubShort
        return StubCode("call-counting", target=address + 19 + _i32(code, 15))
    if code.startswith(b"\x48\xb8") and code[10:14] == b"\x66\xff\x08\x74" and code[15:17] == b"\x48\xb8":  # CallCountingStubLong
        return StubCode("call-counting", target=_u64(code, 17))
    return None


def _fixup_method_desc(memory: Memory, layout: Layout, address: int, code: bytes) -> int:
    """A chunk of FixupPrecodes ends with the address of the first MethodDesc; each knows its place and its MethodDesc's."""
    method_index, precode_index = code[6], code[7]
    base = memory.pointer(address + (precode_index + 1) * _FIXUP_BYTES)
    return base + method_index * layout.constant("MethodDescAlignment")


def _jump(memory: Memory, address: int, code: bytes) -> StubCode | None:
    if code[0] == 0xE9:
        return StubCode("jump", target=address + 5 + _i32(code, 1))
    if code.startswith(b"\xff\x25"):
        return StubCode("jump", target=_relative_value(memory, address, code, 2))
    if code.startswith(b"\x48\xb8") and code[10:12] == b"\xff\xe0":
        return StubCode("jump", target=_u64(code, 2))
    if code.startswith(b"\x90\x48\xb8") and code[11:14] == b"\x50\x48\xb8":  # LookupStub: push the token, jump to the resolver
        return StubCode("virtual-call")
    if code.startswith(b"\x48\xb8") and code[10:16] == b"\x48\x39\x07\x90\x48\xb8":  # DispatchStub: compare with one MethodTable
        return StubCode("virtual-call")
    return None


def _relative_value(memory: Memory, address: int, code: bytes, displacement_at: int) -> int:
    """The pointer that an instruction with a 32-bit displacement as its last operand addresses."""
    at = address + displacement_at + 4 + _i32(code, displacement_at)
    if not 0 <= at < 1 << 64:
        raise Unreadable(address, _STUB_BYTES, "a stub that addresses memory outside the address space")
    return memory.pointer(at)


def _i32(code: bytes, offset: int) -> int:
    return int(unpack_from("<i", code, offset)[0])


def _u64(code: bytes, offset: int) -> int:
    return int(unpack_from("<Q", code, offset)[0])
