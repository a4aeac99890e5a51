"""Notes: known ones decode, broken ones say where, random ones never do anything else than decode or say where."""

from collections.abc import Callable
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaphound.dump.notes import parse_auxv, parse_files, parse_notes, parse_prpsinfo, parse_siginfo
from heaphound.dump.registers import parse_prstatus
from heaphound.errors import LimitExceeded, Malformed
from tests.elf_library import note

BASE = 0x9000


def test_a_note_and_its_place() -> None:
    first, second = parse_notes(note(b"CORE", 6, b"abcde") + note(b"LINUX", 1, b""), BASE)
    assert (first.owner, first.kind, first.data, first.offset) == ("CORE", 6, b"abcde", BASE + 12 + 8)
    assert (second.owner, second.kind, second.data) == ("LINUX", 1, b"")


def test_a_note_that_ends_past_its_segment() -> None:
    data = note(b"CORE", 6, b"abcdefgh")
    with pytest.raises(Malformed, match=r"0x9014.*8 bytes are needed and 4 are left"):
        list(parse_notes(data[:-4], BASE))


def test_zeros_at_the_end_of_the_segment_are_padding() -> None:
    assert len(list(parse_notes(note(b"CORE", 6, b"") + bytes(8), BASE))) == 1


def test_a_file_list_that_promises_too_much() -> None:
    with pytest.raises(Malformed, match="5 mappings do not fit"):
        parse_files(pack("<QQ", 5, 4096) + bytes(24), BASE)
    with pytest.raises(LimitExceeded, match="18446744073709551615"):
        parse_files(pack("<QQ", (1 << 64) - 1, 4096), BASE)


def test_a_mapping_that_ends_before_it_starts() -> None:
    with pytest.raises(Malformed, match="before its start"):
        parse_files(pack("<QQQQQ", 1, 4096, 0x2000, 0x1000, 0) + b"x\0", BASE)


def test_a_path_without_end() -> None:
    with pytest.raises(Malformed, match="text without an end"):
        parse_files(pack("<QQQQQ", 1, 4096, 0x1000, 0x2000, 0) + b"/lib/x", BASE)


def test_file_offsets_are_in_bytes() -> None:
    [file] = parse_files(pack("<QQQQQ", 1, 4096, 0x1000, 0x2000, 3) + b"/lib/x\0", BASE)
    assert (file.file_offset, file.path) == (0x3000, "/lib/x")


def test_auxv_ends_at_null() -> None:
    assert parse_auxv(pack("<6Q", 3, 0x40, 0, 0, 9, 1), BASE) == {3: 0x40}


@pytest.mark.parametrize("machine", ["x64", "arm64"])
def test_a_short_thread_note(machine: str) -> None:
    with pytest.raises(Malformed, match="NT_PRSTATUS at file offset"):
        parse_prstatus(bytes(200), machine, BASE)


def refusal(parse: Callable[[], object]) -> str | None:
    try:
        parse()
    except Malformed as error:
        return str(error)
    return None


@given(st.binary(max_size=400))
def test_random_bytes_decode_or_say_where(data: bytes) -> None:
    parsers = (
        lambda: list(parse_notes(data, BASE)),
        lambda: parse_files(data, BASE),
        lambda: parse_auxv(data, BASE),
        lambda: parse_prpsinfo(data, BASE),
        lambda: parse_siginfo(data, BASE),
        lambda: parse_prstatus(data, "x64", BASE),
        lambda: parse_prstatus(data, "arm64", BASE),
    )
    for parse in parsers:
        message = refusal(parse)
        assert message is None or "file offset 0x" in message


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 2**32 - 1), st.binary(max_size=50))))
def test_what_is_written_is_read(notes: list[tuple[bytes, int, bytes]]) -> None:
    notes = [(owner.replace(b"\0", b"x"), kind, data) for owner, kind, data in notes]
    written = b"".join(note(*one) for one in notes)
    assert [(one.owner.encode("latin-1"), one.kind, one.data) for one in parse_notes(written, BASE)] == notes


@given(st.lists(st.tuples(st.integers(0, 2**47), st.integers(0, 2**20), st.integers(0, 2**30), st.text("abc/", max_size=8)), max_size=8))
def test_file_lists_survive(mappings: list[tuple[int, int, int, str]]) -> None:
    rows = b"".join(pack("<QQQ", start, start + size, page) for start, size, page, _ in mappings)
    names = b"".join(path.encode() + b"\0" for *_, path in mappings)
    read = parse_files(pack("<QQ", len(mappings), 4096) + rows + names, BASE)
    assert [(file.start, file.end - file.start, file.file_offset // 4096, file.path) for file in read] == mappings
