"""The runtime's own map of prepared ready-to-run code."""

from struct import pack

import pytest

from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.layouts.load import layout_file
from heaphound.runtime.prepared_code import PreparedCode
from tests.unit.runtime.written_memory import WrittenImage, written_memory

MODULE, INFO, COMPOSITE, BUCKETS, TABLE, BASE = 0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x7F0000000000
FRAGMENTS = [(0x1000, 0x1040), (0x1040, 0x1050), (0x1060, 0x10A0), (0x10B0, 0x10C0)]
ENTRIES = {BASE + 0x1000: 0x7F5500000010, BASE + 0x1060: 0x7F5500000020, BASE + 0x10B0: 0x7F5500000030}


def prepared(version: str) -> tuple[WrittenImage, PreparedCode]:
    """Two buckets after the header; a deleted key and empty ones among the keys, the mark in the highest bit of a value."""
    image, memory = written_memory()
    layout = layout_file(version, "x64", None).layout
    image.write(MODULE, bytes(2048))
    image.words(MODULE + layout.offset("Module", "ReadyToRunInfo"), INFO)
    image.write(INFO, bytes(1024))
    image.words(INFO + layout.offset("ReadyToRunInfo", "Module"), MODULE)
    image.words(INFO + layout.offset("ReadyToRunInfo", "CompositeInfo"), COMPOSITE)
    image.write(COMPOSITE, bytes(1024))
    table = COMPOSITE + layout.offset("ReadyToRunInfo", "EntryPointToMethodDescMap")
    image.words(table + layout.offset("HashMap", "Buckets"), BUCKETS)
    image.words(COMPOSITE + layout.offset("ReadyToRunInfo", "RuntimeFunctions"), TABLE)
    image.words(COMPOSITE + layout.offset("ReadyToRunInfo", "NumRuntimeFunctions"), len(FRAGMENTS))
    image.write(TABLE, b"".join(pack("<III", begin, end, 0) for begin, end in FRAGMENTS))
    (first, one), (second, two), (third, three) = ENTRIES.items()
    mark = 1 << 63
    image.words(
        BUCKETS,
        *(2, 0, 0, 0, 0, 0, 0, 0),
        *(0, first, 1, second, 0, one >> 1 | mark, 0xDEAD, two >> 1),
        *(third, 0, 0, 0, three >> 1, 0, 0, 0),
    )
    return image, PreparedCode(memory, layout)


@pytest.mark.parametrize("version", ["6.0.0", "8.0.0", "9.0.0", "10.0.0"])
def test_entries(version: str) -> None:
    _, code = prepared(version)
    assert {entry: code.method_desc(MODULE, entry) for entry in ENTRIES} == ENTRIES
    assert code.method_desc(MODULE, BASE + 0x1040) is None


@pytest.mark.parametrize(
    ("offset", "entry", "fragment"),
    [
        (0xFFF, None, None),
        (0x1000, 0x1000, 0x1000),
        (0x1048, 0x1000, 0x1040),
        (0x1055, 0x1000, None),
        (0x10BF, 0x10B0, 0x10B0),
        (0x10C0, 0x10B0, None),
    ],
)
def test_what_lies_before_an_address(offset: int, entry: int | None, fragment: int | None) -> None:
    _, code = prepared("8.0.0")
    found = code.before(MODULE, BASE + offset)
    assert (None if found is None else found[0]) == (None if entry is None else BASE + entry)
    assert code.fragment_start(MODULE, BASE, BASE + offset) == (None if fragment is None else BASE + fragment)


def test_on_arm64_the_unwind_data_say_where_code_ends() -> None:
    """Packed in the entry (length in words from bit 2 on), or the first word of an .xdata record of the image."""
    image, memory = written_memory()
    layout = layout_file("8.0.31", "arm64", None).layout
    image.write(MODULE, bytes(2048))
    image.words(MODULE + layout.offset("Module", "ReadyToRunInfo"), INFO)
    image.write(INFO, bytes(1024))
    image.words(INFO + layout.offset("ReadyToRunInfo", "Module"), MODULE)
    image.words(INFO + layout.offset("ReadyToRunInfo", "RuntimeFunctions"), TABLE)
    image.words(INFO + layout.offset("ReadyToRunInfo", "NumRuntimeFunctions"), 2)
    image.write(TABLE, pack("<IIII", 0x1000, 0x10 << 2 | 1, 0x1060, 0x2000))
    image.write(BASE + 0x2000, pack("<I", 0x10))
    code = PreparedCode(memory, layout)
    found = {offset: code.fragment_start(MODULE, BASE, BASE + offset) for offset in (0xFFC, 0x1000, 0x103C, 0x1040, 0x109C, 0x10A0)}
    assert found == {0xFFC: None, 0x1000: BASE + 0x1000, 0x103C: BASE + 0x1000, 0x1040: None, 0x109C: BASE + 0x1060, 0x10A0: None}


def test_a_module_without_native_code() -> None:
    image, code = prepared("8.0.0")
    image.write(MODULE, bytes(2048))
    assert code.method_desc(MODULE, BASE + 0x1000) is None
    assert code.fragment_start(MODULE, BASE, BASE + 0x1000) is None


def test_a_structure_of_another_module() -> None:
    image, code = prepared("8.0.0")
    image.words(INFO, MODULE + 8)
    with pytest.raises(Malformed, match=r"self-check ReadyToRunInfo\.Module"):
        code.method_desc(MODULE, BASE + 0x1000)


def test_fragments_that_the_dump_lacks() -> None:
    image, code = prepared("8.0.0")
    layout = layout_file("8.0.0", "x64", None).layout
    image.words(COMPOSITE + layout.offset("ReadyToRunInfo", "RuntimeFunctions"), 0x99999000)
    with pytest.raises(Unreadable):
        code.fragment_start(MODULE, BASE, BASE + 0x1000)


def test_an_absurd_number_of_buckets() -> None:
    image, code = prepared("8.0.0")
    image.words(BUCKETS, 1 << 30)
    with pytest.raises(LimitExceeded):
        code.method_desc(MODULE, BASE + 0x1000)
