"""Stubs by their instructions, as the runtimes of 6.0 and 8.0 and later write them."""

from struct import pack

import pytest

from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.precode import decode_stub
from heaphound.runtime.stub_code import StubCode
from tests.unit.runtime.written_memory import written_memory

AT, PAGE, METHOD_DESC, TARGET = 0x7F0000010000, 0x4000, 0x7F00AA00BB10, 0x7F00CC00DD00
SIX, EIGHT, TEN = (layout_file(version, "x64", None).layout for version in ("6.0.0", "8.0.0", "10.0.0"))


def relative(opcode: str, distance: int) -> bytes:
    return bytes.fromhex(opcode) + pack("<i", distance)


FIXUP = relative("ff25", 0x3FFA) + relative("4c8b15", 0x3FFB) + relative("ff25", 0x3FFD) + b"\x90" * 5
STUB = relative("4c8b15", 0x3FF9) + relative("ff25", 0x3FFB) + b"\x90" * 11
COUNTING = relative("488b05", 0x3FF9) + bytes.fromhex("66ff087406") + relative("ff25", 0x3FF6) + relative("ff25", 0x3FF8)


@pytest.mark.parametrize(("entry", "layout"), [(0, EIGHT), (6, EIGHT), (0, TEN), (6, TEN)])
def test_both_entries_of_a_fixup_precode(entry: int, layout: Layout) -> None:
    image, memory = written_memory()
    image.write(AT, FIXUP + bytes(64))
    image.words(AT + PAGE, AT + 6, METHOD_DESC, TARGET)
    assert decode_stub(memory, layout, AT + entry) == StubCode("precode", method_desc=METHOD_DESC)


@pytest.mark.parametrize(
    ("layout", "kind", "wanted"),
    [
        (EIGHT, 0x4C, StubCode("precode", method_desc=METHOD_DESC)),
        (EIGHT, 5, StubCode("precode", method_desc=METHOD_DESC)),
        (TEN, 3, StubCode("precode", method_desc=METHOD_DESC)),
        (TEN, 7, StubCode("native-entry")),
        (TEN, 0x4C, StubCode("native-entry")),
    ],
)
def test_a_stub_precode_by_its_kind(layout: Layout, kind: int, wanted: StubCode) -> None:
    image, memory = written_memory()
    image.write(AT, STUB + bytes(64))
    image.words(AT + PAGE, METHOD_DESC, TARGET, kind)
    assert decode_stub(memory, layout, AT) == wanted


def test_a_method_that_returns_a_struct_through_its_second_argument() -> None:
    image, memory = written_memory()
    image.write(AT, STUB + bytes(64))
    image.words(AT + PAGE, 0x50000, TARGET, 8)
    image.words(0x50000, TARGET, METHOD_DESC)
    assert decode_stub(memory, TEN, AT) == StubCode("precode", method_desc=METHOD_DESC)


def test_call_counting_leads_to_the_code() -> None:
    image, memory = written_memory()
    image.write(AT, COUNTING + bytes(64))
    image.words(AT + PAGE, 0x9999, TARGET, 0x7777)
    assert decode_stub(memory, EIGHT, AT) == StubCode("call-counting", target=TARGET)


@pytest.mark.parametrize("opcode", [0xE8, 0xE9])
def test_the_third_fixup_of_a_chunk_of_6(opcode: int) -> None:
    """Three fixups, then the address of the chunk's first MethodDesc; precode 1 stands one before the last."""
    image, memory = written_memory()
    image.write(AT, bytes([opcode, 1, 2, 3, 4, 0x5F if opcode == 0xE9 else 0x5E, 4, 1]) + bytes(8) + pack("<Q", METHOD_DESC) + bytes(40))
    assert decode_stub(memory, SIX, AT) == StubCode("precode", method_desc=METHOD_DESC + 4 * 8)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (b"\x49\xba" + pack("<Q", METHOD_DESC) + b"\xf8\xe9" + bytes(4), StubCode("precode", method_desc=METHOD_DESC)),
        (b"\x48\xb8" + pack("<Q", 1) + bytes.fromhex("66ff080f85") + pack("<i", 0x100), StubCode("call-counting", target=AT + 19 + 0x100)),
        (b"\x48\xb8" + pack("<Q", TARGET) + b"\xff\xe0", StubCode("jump", target=TARGET)),
        (b"\xe9" + pack("<i", -0x20) + bytes(5), StubCode("jump", target=AT + 5 - 0x20)),
        (bytes.fromhex("488bc44989fb4d8b5320"), StubCode("shuffle-thunk")),
        (bytes.fromhex("90488bc7488bfe488bf090e900000000") + pack("<Q", METHOD_DESC), StubCode("precode", method_desc=METHOD_DESC)),
    ],
)
def test_stubs_of_6_that_carry_their_data(code: bytes, wanted: StubCode) -> None:
    image, memory = written_memory()
    image.write(AT, code + bytes(64))
    assert decode_stub(memory, SIX, AT) == wanted


def test_other_code_is_no_stub() -> None:
    image, memory = written_memory()
    image.write(AT, bytes.fromhex("554889e5c3") + bytes(64))
    assert decode_stub(memory, EIGHT, AT) is None
    assert decode_stub(memory, SIX, AT) is None


def test_code_that_the_dump_lacks_is_no_stub() -> None:
    _, memory = written_memory()
    assert decode_stub(memory, EIGHT, AT) is None
