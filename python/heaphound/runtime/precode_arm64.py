"""Stubs of arm64 by their instructions, as `precode` decodes those of x64.

Sources: src/coreclr/vm/arm64/cgencpu.h, virtualcallstubcpu.hpp, stubs.cpp, thunktemplates.S (data in a page of their own, since 7.0),
vm/callcounting.h and arm64/cgencpu.h of 3.1 and 6.0 (data behind the instructions).
"""

from dataclasses import dataclass
from struct import unpack

from heaphound.dump.memory import Memory
from heaphound.layouts.schema import Layout
from heaphound.runtime.stub_code import StubCode

ARM64_PRECODES = ("arm64-inline", "arm64-data-page")  # names of the contract Precodes
_WORDS = 9  # instructions of the longest pattern below, a barrier among them
_BARRIER = 0xD50339BF  # dmb ishld, in precodes of 10.0
_LDR_LITERAL = 0x58000000  # ldr xN, [pc + 4 * signed 19 bits]
_ADR = 0x10000000
_B_MASK, _B = 0xFC000000, 0x14000000
_BR = {register: 0xD61F0000 | register << 5 for register in (9, 10, 11, 12, 16)}
_LDP_X10_X12_FROM_X9 = 0xA940312A
_LDP_X10_X12_FROM_X11 = 0xA940316A
_COUNT_DOWN = (0x7940012A, 0x7100054A, 0x7900012A)  # ldrh w10, [x9]; subs w10, w10, #1; strh w10, [x9]
_LOAD_AUXILIARY = 0xF9401010  # ldr x16, [x0, #32]: Delegate._methodPtrAux
_FIXUP_ADR = 0x1000000C  # adr x12, #0: the FixupPrecode itself
_FIXUP_BYTES = 24
_LOAD_METHOD_TABLE = (0xF940000D, 0xF940000C, 0xF9400009)  # ldr xN, [x0], N 13, 12, 9: DispatchStub, ResolveStub, VTableCallStub


@dataclass(frozen=True, slots=True)
class _Instructions:
    """The instructions at an address without its barriers, and the address of each; those that are not in the dump are 0."""

    memory: Memory
    address: int
    words: tuple[int, ...]
    places: tuple[int, ...]

    def literal_address(self, index: int, register: int) -> int | None:
        """Where instruction `index` loads `register` from; None when it is no such load."""
        word = self.words[index]
        if word & 0xFF00001F != _LDR_LITERAL | register:
            return None
        distance = word >> 5 & 0x7FFFF
        return self.places[index] + 4 * (distance - (distance >> 18 << 19))

    def literal(self, index: int, register: int) -> int | None:
        """What instruction `index` loads into `register` from a fixed place; None when it is no such load. Raises Unreadable."""
        at = self.literal_address(index, register)
        return None if at is None else self.memory.pointer(at)

    def starts(self, *words: int) -> bool:
        return self.words[: len(words)] == words


def decode_arm64_stub(memory: Memory, layout: Layout, address: int) -> StubCode | None:
    """As `precode.decode_stub`. Raises Unreadable when data that the instructions name is missing."""
    if not 0 <= address < 1 << 64 or address % 4:
        return None
    present = memory.readable_bytes(address, 4 * _WORDS) // 4
    if present < 2:
        return None
    code = _read(memory, address, present)
    if code.words[0] == _LOAD_AUXILIARY:
        return StubCode("shuffle-thunk")
    own = _inline(code, layout) if layout.contract("Precodes") == "arm64-inline" else _paged(code, layout)
    return own or _call_counting(code) or _jump(code)


def _read(memory: Memory, address: int, present: int) -> _Instructions:
    words = unpack(f"<{present}I", memory.bytes(address, 4 * present)) + (0,) * (_WORDS - present)
    kept = [(word, address + 4 * index) for index, word in enumerate(words) if word != _BARRIER]
    kept += [(0, address)] * (_WORDS - len(kept))
    return _Instructions(memory, address, tuple(word for word, _ in kept), tuple(place for _, place in kept))


def _paged(code: _Instructions, layout: Layout) -> StubCode | None:
    if code.words[1] == code.words[4] == _BR[11] and code.literal_address(0, 11) is not None:  # FixupPrecode
        method_desc = code.literal(2, 12)
        return None if method_desc is None else StubCode("precode", method_desc=method_desc)
    if code.words[2] == _BR[11] and code.literal_address(1, 11) is not None:  # its second entry
        method_desc = code.literal(0, 12)
        return None if method_desc is None else StubCode("precode", method_desc=method_desc)
    place = _stub_precode_data(code)
    return None if place is None else _stub_precode(code.memory, layout, place)


def _stub_precode_data(code: _Instructions) -> int | None:
    place = code.literal_address(1, 12)
    return place if code.words[2] == _BR[10] and code.literal_address(0, 10) is not None else None


def read_stub_precode_arm64(memory: Memory, layout: Layout, address: int) -> tuple[int, int] | None:
    """(kind, first word of its data) of the StubPrecode at `address`; None where there is none. Raises Unreadable."""
    present = min(memory.readable_bytes(address, 4 * _WORDS) // 4, _WORDS)
    data = _stub_precode_data(_read(memory, address, present)) if present > 2 else None
    return None if data is None else (memory.u8(data + layout.offset("StubPrecodeData", "Type")), memory.pointer(data))


def _stub_precode(memory: Memory, layout: Layout, data: int) -> StubCode:
    """A StubPrecode, whose data say of which kind it is."""
    kind = memory.u8(data + layout.offset("StubPrecodeData", "Type"))
    if kind in (layout.constant("StubPrecodeType.Stub"), layout.constant("StubPrecodeType.PInvokeImport")):
        return StubCode("precode", method_desc=memory.pointer(data))
    if layout.has_constant("StubPrecodeType.ThisPtrRetBuf") and kind == layout.constant("StubPrecodeType.ThisPtrRetBuf"):
        return StubCode(
            "precode", method_desc=memory.pointer(memory.pointer(data) + layout.offset("ThisPtrRetBufPrecodeData", "MethodDesc"))
        )
    return StubCode("native-entry")


def _inline(code: _Instructions, layout: Layout) -> StubCode | None:
    if code.words[0] == _FIXUP_ADR and code.words[2] == _BR[11] and code.literal_address(1, 11) is not None:
        return StubCode("precode", method_desc=_fixup_method_desc(code, layout))
    for register, load in ((9, _LDP_X10_X12_FROM_X9), (11, _LDP_X10_X12_FROM_X11)):  # StubPrecode, NDirectImportPrecode
        if code.starts(_adr(register, 16), load, _BR[10]):
            second = code.memory.pointer(code.address + 24)
            # A LookupStub has the same instructions and a token in that place, which is no address.
            return StubCode("precode", method_desc=second) if code.memory.readable(second, 8) else StubCode("virtual-call")
    return None


def _fixup_method_desc(code: _Instructions, layout: Layout) -> int:
    """A chunk of FixupPrecodes ends with the address of the first MethodDesc; each knows its place and its MethodDesc's."""
    method_index, precode_index = code.words[3] >> 16 & 0xFF, code.words[3] >> 24
    base = code.memory.pointer(code.address + (precode_index + 1) * _FIXUP_BYTES)
    return base + method_index * layout.constant("MethodDescAlignment")


def _call_counting(code: _Instructions) -> StubCode | None:
    """Count down, then one of two jumps; the first leads to the method's code."""
    if code.words[1:4] != _COUNT_DOWN or code.words[6] != _BR[9] or code.literal_address(0, 9) is None:
        return None
    target = code.literal(5, 9)
    return None if target is None else StubCode("call-counting", target=target)


def _jump(code: _Instructions) -> StubCode | None:
    first = code.words[0]
    if first & _B_MASK == _B:
        distance = first & 0x3FFFFFF
        return StubCode("jump", target=code.address + 4 * (distance - (distance >> 25 << 26)))
    for register in (16, 12, 11, 10, 9):
        if code.words[1] == _BR[register] and (target := code.literal(0, register)) is not None:
            return StubCode("jump", target=target)
    if code.starts(_adr(9, 16), _LDP_X10_X12_FROM_X9, _BR[10]) or first in _LOAD_METHOD_TABLE:  # LookupStub and the others
        return StubCode("virtual-call")
    return None


def _adr(register: int, distance: int) -> int:
    return _ADR | distance >> 2 << 5 | register
