"""The metadata root: signature, version text, and the directory of streams (ECMA-335 II.24.2.1)."""

from struct import unpack_from
from typing import NamedTuple

from heaphound.errors import Malformed
from heaphound.runtime.metadata.heaps import Span

SIGNATURE = b"BSJB"
_MAXIMUM_STREAMS = 64  # a compiler writes five or six; bounds the loop on a forged count


class Root(NamedTuple):
    """Version text of the root and where each stream lies, by name."""

    version: str
    streams: dict[str, Span]


def parse_root(data: bytes) -> Root:
    """The directory of a metadata blob. Raises Malformed if it is not one, or a stream leaves the blob."""
    if data[:4] != SIGNATURE or len(data) < 20:
        raise Malformed(f"metadata starts with {data[:4].hex()} instead of BSJB")
    version_size = int.from_bytes(data[12:16], "little")
    offset = 16 + version_size
    if offset + 4 > len(data):
        raise Malformed(f"metadata version text of {version_size} bytes passes the end of the blob")
    version = data[16:offset].split(b"\0", 1)[0].decode("utf-8", "replace")
    count = unpack_from("<H", data, offset + 2)[0]
    if count > _MAXIMUM_STREAMS:
        raise Malformed(f"metadata claims {count} streams, more than {_MAXIMUM_STREAMS}")
    return Root(version, _streams(data, offset + 4, count))


def _streams(data: bytes, offset: int, count: int) -> dict[str, Span]:
    streams: dict[str, Span] = {}
    for _ in range(count):
        end = data.find(b"\0", offset + 8, offset + 8 + 32)
        if offset + 8 > len(data) or end < 0:
            raise Malformed(f"stream header at {offset:#x} of the metadata has no name")
        start, size = unpack_from("<II", data, offset)
        if start + size > len(data):
            raise Malformed(f"metadata stream of {size} bytes at {start:#x} passes the end of the blob ({len(data)} bytes)")
        name = data[offset + 8 : end].decode("ascii", "replace")
        streams.setdefault(name, Span(start, size))
        offset += 8 + ((end - offset - 8 + 4) & ~3)  # the name with its zero, padded to four bytes
    return streams
