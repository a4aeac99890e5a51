"""A core cut anywhere, or with any header field forged: an error of ours or an honest partial core, at once, and never a wrong byte."""

from contextlib import suppress
from pathlib import Path
from struct import calcsize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaphound.dump.address_space import account
from heaphound.dump.core import Core, open_core
from heaphound.dump.elf_modules import elf_modules
from heaphound.errors import DumpError, HeaphoundError, Malformed, Unreadable
from tests.dumpwriter import small_process

WHOLE = small_process().data()
HEADER_FIELDS = "16sHHIQQQIHHHHHH"
PROGRAM_HEADER_FIELDS = "IIQQQQQQ"


def offsets(fields: str, base: int) -> list[tuple[int, int]]:
    """(offset, size) of each field of a little-endian structure at `base`."""
    places, position, digits = [], base, ""
    for letter in fields:
        if letter.isdigit():
            digits += letter
            continue
        size = calcsize(f"<{digits}{letter}")
        places.append((position, size))
        position, digits = position + size, ""
    return places


def look_at_everything(core: Core) -> None:
    """All that the file layer can be asked; only errors of ours may come out."""
    for module in elf_modules(core):
        try:
            module.symbol("find_me")
        except (Unreadable, Malformed):
            continue
    space = account(core)
    assert sum(category.resident_bytes for category in space.categories) == space.resident_bytes
    assert space.resident_bytes == core.resident_bytes == sum(end - start for start, end in core.image.readable_ranges)


def opened_or_refused(path: Path, *reasons: str) -> Core | None:
    """The core, or None where the file layer refused it for one of these reasons."""
    try:
        return open_core(path)
    except DumpError as error:
        if any(reason in str(error) for reason in reasons):
            return None
        raise


def look_if_it_opens(path: Path) -> None:
    """Only errors of ours may refuse the file, and what opens must bear looking at."""
    with suppress(HeaphoundError):
        look_at_everything(open_core(path))


def reads_agree(core: Core, whole: Core) -> None:
    """Every byte that the cut core gives is the one that the whole core gives."""
    for address, size, _, _, _ in whole.image.segments:
        present = core.image.readable_bytes(address, size)
        assert core.memory.bytes(address, present) == whole.memory.bytes(address, present)


CUTS = sorted(
    {
        *range(0, 0x400, 7),
        *(start + delta for start, size in offsets(HEADER_FIELDS, 0) for delta in (0, size - 1)),
        *(start for number in range(9) for start, _ in offsets(PROGRAM_HEADER_FIELDS, 64 + 56 * number)),
        *range(0x400, len(WHOLE), 211),
        *(len(WHOLE) - left for left in (1, 2, 4095, 4096, 4097)),
    }
)


def test_cut_at_every_header_field_and_many_places(tmp_path: Path) -> None:
    whole_path, path = tmp_path / "whole", tmp_path / "cut"
    whole_path.write_bytes(WHOLE)
    whole = open_core(whole_path)
    opened = 0
    for size in CUTS:
        path.write_bytes(WHOLE[:size])
        core = opened_or_refused(path, "cut short", "empty", "no ELF")
        if core is None:
            continue
        opened += 1
        assert core.truncation is not None, f"cut at {size} and not said"
        assert core.truncation.actual_size_bytes == size
        assert core.truncation.expected_size_bytes == len(WHOLE) - (-whole.image.segments[-1][1] % 4096)
        assert core.resident_bytes + core.truncation.missing_bytes == whole.resident_bytes
        assert core.threads == whole.threads
        reads_agree(core, whole)
        look_at_everything(core)
    assert opened > 100


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_cut_at_a_share(tmp_path: Path, share: float) -> None:
    writer = small_process()
    for number in range(40):
        writer.segment(0x600000 + 0x10000 * number, bytes([number + 1]) * 0x8000)
    whole = writer.data()
    path = tmp_path / "core"
    path.write_bytes(whole[: int(len(whole) * share)])
    core = open_core(path)
    assert core.truncation is not None
    assert f"{100 * share:.1f} %" in str(core.truncation)
    look_at_everything(core)


VALUES = (0, 1, 3, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1)


def test_every_header_field_forged(tmp_path: Path) -> None:
    path = tmp_path / "core"
    fields = offsets(HEADER_FIELDS, 0)[1:]
    fields += [field for number in range(len(small_process().segments) + 1) for field in offsets(PROGRAM_HEADER_FIELDS, 64 + 56 * number)]
    for start, size in fields:
        for value in {value % (1 << 8 * size) for value in VALUES}:
            path.write_bytes(WHOLE[:start] + value.to_bytes(size, "little") + WHOLE[start + size :])
            look_if_it_opens(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_notes_and_images_with_random_damage(tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(64, len(WHOLE) - 9))
        damaged[place : place + 8] = data.draw(st.binary(min_size=1, max_size=8)).ljust(8, b"\xff")
    path = tmp_path / "core"
    path.write_bytes(damaged)
    look_if_it_opens(path)
