"""Stubs of arm64 by their instructions, as seen in dumps of 3.1.2 and 8.0.31 and written in the runtime's sources."""

from dataclasses import replace
from struct import pack

import pytest

from heaphound.layouts.load import layout_file
from heaphound.runtime.precode import decode_stub
from heaphound.runtime.stub_code import StubCode
from tests.unit.runtime.written_memory import written_memory

AT, METHOD_DESC, TARGET = 0x7F0000010000, 0x7F00AA00BB10, 0x7F00CC00DD00
PAGED = layout_file("8.0.31", "arm64", None).layout
INLINE = replace(PAGED, contracts={**PAGED.contracts, "Precodes": "arm64-inline"})
NOP = 0xD503201F


def load(register: int, distance: int) -> int:
    """ldr xN, [pc + distance]"""
    return 0x58000000 | (distance // 4 & 0x7FFFF) << 5 | register


def branch(register: int) -> int:
    return 0xD61F0000 | register << 5


def words(*instructions: int) -> bytes:
    return pack(f"<{len(instructions)}I", *instructions)


@pytest.mark.parametrize("page", [0x4000, 0x10000])
@pytest.mark.parametrize("entry", [0, 8])
def test_both_entries_of_a_fixup_precode(page: int, entry: int) -> None:
    image, memory = written_memory()
    image.write(AT, words(load(11, page), branch(11), load(12, page), load(11, page + 4), branch(11), NOP) + bytes(64))
    image.words(AT + page, AT + 8, METHOD_DESC, TARGET)
    assert decode_stub(memory, PAGED, AT + entry) == StubCode("precode", method_desc=METHOD_DESC)


@pytest.mark.parametrize("entry", [0, 8])
def test_a_fixup_precode_with_a_barrier(entry: int) -> None:
    """10.0.9: its second entry begins with the barrier."""
    image, memory = written_memory()
    image.write(AT, words(load(11, 0x4000), branch(11), 0xD50339BF, load(12, 0x3FFC), load(11, 0x4000), branch(11)) + bytes(64))
    image.words(AT + 0x4000, AT + 8, METHOD_DESC, TARGET)
    assert decode_stub(memory, PAGED, AT + entry) == StubCode("precode", method_desc=METHOD_DESC)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (0x4A, StubCode("precode", method_desc=METHOD_DESC)),
        (0x4C, StubCode("native-entry")),  # that of x64
        (5, StubCode("precode", method_desc=METHOD_DESC)),
        (9, StubCode("native-entry")),
    ],
)
def test_a_stub_precode_by_its_kind(kind: int, wanted: StubCode) -> None:
    image, memory = written_memory()
    image.write(AT, words(load(10, 0x4008), load(12, 0x3FFC), branch(10)) + bytes(64))
    image.words(AT + 0x4000, METHOD_DESC, TARGET, kind)
    assert decode_stub(memory, PAGED, AT) == wanted


@pytest.mark.parametrize("layout", [PAGED, INLINE])
def test_call_counting_leads_to_the_code(layout: object) -> None:
    image, memory = written_memory()
    count = (load(9, 0x4000), 0x7940012A, 0x7100054A, 0x7900012A, 0x54000060)
    image.write(AT, words(*count, load(9, 0x3FF4), branch(9), load(10, 0x3FF4), branch(10)) + bytes(64))
    image.words(AT + 0x4000, 0x50000, TARGET, 0x60000)
    assert decode_stub(memory, layout, AT) == StubCode("call-counting", target=TARGET)  # type: ignore[arg-type]


def test_inline_fixup_precodes_name_their_method_by_their_place() -> None:
    """Two of a chunk of three: MethodDescs 5 and 4 words of 8 bytes from the address behind the chunk."""
    image, memory = written_memory()
    precode = words(0x1000000C, load(11, 12), branch(11))
    chunk = b"".join(precode + pack("<HBBQ", 0, method, place, TARGET) for method, place in ((5, 2), (4, 1), (0, 0)))
    image.write(AT, chunk + pack("<Q", METHOD_DESC) + bytes(64))
    assert decode_stub(memory, INLINE, AT) == StubCode("precode", method_desc=METHOD_DESC + 40)
    assert decode_stub(memory, INLINE, AT + 24) == StubCode("precode", method_desc=METHOD_DESC + 32)


@pytest.mark.parametrize(("register", "second"), [(9, 0xA940312A), (11, 0xA940316A)])
def test_an_inline_stub_precode_and_a_lookup_stub_differ_by_what_they_carry(register: int, second: int) -> None:
    image, memory = written_memory()
    image.write(AT, words(0x10000080 | register, second, branch(10), NOP) + pack("<QQ", TARGET, METHOD_DESC) + bytes(64))
    image.write(METHOD_DESC, bytes(8))
    assert decode_stub(memory, INLINE, AT) == StubCode("precode", method_desc=METHOD_DESC)
    image.words(AT + 24, 0x100020003)
    assert decode_stub(memory, INLINE, AT) == StubCode("virtual-call")


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (words(load(16, 8), branch(16)) + pack("<Q", TARGET), StubCode("jump", target=TARGET)),
        (words(0x14000010), StubCode("jump", target=AT + 64)),
        (words(0x17FFFFFF), StubCode("jump", target=AT - 4)),
        (words(0xF9401010, 0x9100800B), StubCode("shuffle-thunk")),
        (words(0x10000089, 0xA940312A, branch(10)), StubCode("virtual-call")),
        (words(0xF940000D, 0x100000E9), StubCode("virtual-call")),
        (words(0xF940000C, 0x8B4C3189), StubCode("virtual-call")),
        (words(0xA9BF7BFD, 0x910003FD), None),
        (words(load(16, 8), branch(11)), None),
    ],
)
def test_other_stubs(code: bytes, wanted: StubCode | None) -> None:
    image, memory = written_memory()
    image.write(AT, code + bytes(64))
    assert decode_stub(memory, PAGED, AT) == wanted


def test_what_is_no_instruction() -> None:
    image, memory = written_memory()
    image.write(AT, words(load(16, 8), branch(16)) + pack("<Q", TARGET))
    assert decode_stub(memory, PAGED, AT + 2) is None
    assert decode_stub(memory, PAGED, AT + 12) is None
    assert decode_stub(memory, PAGED, AT - 0x1000) is None
    assert decode_stub(memory, PAGED, (1 << 64) + AT) is None
