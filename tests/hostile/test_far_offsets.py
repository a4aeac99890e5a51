"""A core whose segments lie behind 4 GiB of the file, as dumps of large services have them: a sparse file, so that it costs no disk."""

import struct
from pathlib import Path

from heaphound.dump.core import open_core

FAR = (5 << 30) + 4096
ADDRESS = 0x7F0000000000


def far_core(path: Path) -> Path:
    """One segment of a page, whose bytes begin behind 5 GiB."""
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(header + struct.pack("<IIQQQQQQ", 1, 6, FAR, ADDRESS, 0, 4096, 4096, 4096))
        file.seek(FAR)
        file.write(bytes(range(256)) * 16)
    return path


def test_offsets_past_32_bits(tmp_path: Path) -> None:
    path = far_core(tmp_path / "far.core")
    assert path.stat().st_blocks * 512 < 1 << 20
    core = open_core(path)
    assert core.truncation is None
    assert core.image.expected_size_bytes == FAR + 4096
    assert core.memory.bytes(ADDRESS + 256, 4) == bytes(range(4))
    assert core.memory.u8(ADDRESS + 4095) == 255


def test_cut_behind_32_bits(tmp_path: Path) -> None:
    path = far_core(tmp_path / "far.core")
    with open(path, "r+b") as file:
        file.truncate(FAR + 1000)
    core = open_core(path)
    assert core.truncation is not None
    assert core.truncation.first_missing_address == ADDRESS + 1000
    assert core.memory.bytes(ADDRESS + 900, 100) == bytes(range(256))[900 % 256 : 900 % 256 + 100]
