"""Other forms of a core's file: what people do to a core, or what its size does."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import zstandard

FOUR_GIGABYTES = 1 << 32
_PT_LOAD, _HEADER_BYTES, _PROGRAM_HEADER_BYTES = 1, 64, 56


def compressed(core: Path) -> Path:
    """As systemd-coredump stores it."""
    made = core.with_name(f"{core.name}.zst")
    with open(core, "rb") as source, open(made, "wb") as target:
        zstandard.ZstdCompressor(level=1).copy_stream(source, target)
    return made


def past_four_gigabytes(core: Path) -> Path:
    """The same memory behind 4 GB of nothing: the offsets of its segments need more than 32 bits. A hole in the file costs no disk."""
    made = core.with_name(f"{core.name}.far")
    with open(core, "rb") as source, open(made, "wb") as target:
        header = source.read(_HEADER_BYTES)
        (table,) = struct.unpack_from("<Q", header, 32)
        (count,) = struct.unpack_from("<H", header, 56)
        source.seek(table)
        headers = bytearray(source.read(count * _PROGRAM_HEADER_BYTES))
        loads = []
        for place in range(0, len(headers), _PROGRAM_HEADER_BYTES):
            (kind,) = struct.unpack_from("<I", headers, place)
            (offset,) = struct.unpack_from("<Q", headers, place + 8)
            if kind == _PT_LOAD:
                loads.append(offset)
                struct.pack_into("<Q", headers, place + 8, offset + FOUR_GIGABYTES)
        source.seek(0)
        target.write(source.read(min(loads)))
        target.seek(table)
        target.write(headers)
        source.seek(min(loads))
        target.seek(min(loads) + FOUR_GIGABYTES)
        shutil.copyfileobj(source, target, 1 << 20)
    return made


FORMS: dict[str, Callable[[Path], Path]] = {"compressed with zstd": compressed, "offsets past 4 GB": past_four_gigabytes}
