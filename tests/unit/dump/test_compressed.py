"""Compressed dumps: every format gives the same bytes, is unpacked once, and leaves nothing behind when it fails."""

import gzip
import lzma
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import lz4.frame
import pytest
import zstandard

from heaphound.dump.cache import default_cache_directory, list_cache, remove_cached
from heaphound.dump.core import open_core
from heaphound.dump.zstd_frames import NotZstd, walk_frames
from heaphound.errors import DumpError
from tests.dumpwriter import DumpWriter

START = 0x10000
FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "zst": zstandard.compress,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
}


def core_bytes() -> bytes:
    """Noise, a long stretch of zeros, noise: about 3 MiB."""
    noise = bytes((index * index >> 3) & 0xFF for index in range(100_000))
    return DumpWriter().segment(START, noise + bytes(3 << 20) + noise).thread(9).data()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def packed(tmp_path: Path, kind: str, data: bytes | None = None) -> Path:
    path = tmp_path / "dump.bin"  # the name says nothing: the content decides
    path.write_bytes(FORMATS[kind](core_bytes() if data is None else data))
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_core(tmp_path: Path, cache: Path, kind: str) -> None:
    core = open_core(packed(tmp_path, kind), cache_directory=cache)
    assert core.path == str(tmp_path / "dump.bin")
    assert Path(core.image.path).read_bytes() == core_bytes()
    assert core.threads[0].os_id == 9


@pytest.mark.parametrize("kind", FORMATS)
def test_zeros_take_no_room(tmp_path: Path, cache: Path, kind: str) -> None:
    open_core(packed(tmp_path, kind), cache_directory=cache)
    [entry] = list_cache(cache)
    assert entry.size_bytes == len(core_bytes())
    assert entry.disk_bytes < entry.size_bytes - (2 << 20)
    assert entry.path.stat().st_mode & 0o077 == 0


def test_unpacked_once_and_again_when_the_file_changes(tmp_path: Path, cache: Path) -> None:
    path = packed(tmp_path, "zst")
    first = open_core(path, cache_directory=cache).image.path
    unpacked: list[tuple[str, int, int]] = []
    again = open_core(path, cache_directory=cache, progress=lambda *told: unpacked.append(told))
    assert (again.image.path, unpacked) == (first, [])
    os.utime(path, ns=(1, 1))
    assert open_core(path, cache_directory=cache).image.path != first


@pytest.mark.parametrize("kind", FORMATS)
def test_progress_has_a_total_and_reaches_it(tmp_path: Path, cache: Path, kind: str) -> None:
    path = packed(tmp_path, kind)
    told: list[tuple[str, int, int]] = []
    open_core(path, cache_directory=cache, progress=lambda phase, done, total: told.append((phase, done, total)))
    assert {(phase, total) for phase, _, total in told} == {("decompressing", path.stat().st_size)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == path.stat().st_size


@pytest.mark.parametrize("kind", FORMATS)
def test_interrupting_leaves_nothing(tmp_path: Path, cache: Path, kind: str) -> None:
    def interrupt(phase: str, done: int, total: int) -> None:
        assert list(cache.iterdir()), "the partial file is there while the work goes on"
        raise KeyboardInterrupt(phase, done, total)

    with pytest.raises(KeyboardInterrupt):
        open_core(packed(tmp_path, kind), cache_directory=cache, progress=interrupt)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_cut_short(tmp_path: Path, cache: Path, kind: str, kept: float) -> None:
    whole = FORMATS[kind](core_bytes())
    path = tmp_path / "dump.bin"
    path.write_bytes(whole[: max(8, int(len(whole) * kept))])
    with pytest.raises(DumpError, match="is cut short"):
        open_core(path, cache_directory=cache)
    assert list_cache(cache) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_by_one_byte(tmp_path: Path, cache: Path, kind: str) -> None:
    path = tmp_path / "dump.bin"
    path.write_bytes(FORMATS[kind](core_bytes())[:-1])
    with pytest.raises(DumpError, match="is cut short"):
        open_core(path, cache_directory=cache)


@pytest.mark.parametrize("kind", FORMATS)
def test_corrupt(tmp_path: Path, cache: Path, kind: str) -> None:
    whole = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(core_bytes()) if kind == "zst" else FORMATS[kind](core_bytes())
    )
    for place in range(len(whole) // 3, 2 * len(whole) // 3):
        whole[place] ^= 0x5A
    path = tmp_path / "dump.bin"
    path.write_bytes(whole)
    with pytest.raises(DumpError, match=r"is corrupt|is cut short"):
        open_core(path, cache_directory=cache)
    assert list_cache(cache) == []


def test_a_compressed_file_that_holds_no_core(tmp_path: Path, cache: Path) -> None:
    path = packed(tmp_path, "gz", b"just some text, longer than an ELF header is, so that it is looked at")
    with pytest.raises(DumpError, match=r"dump\.bin is not a core dump"):
        open_core(path, cache_directory=cache)
    assert list_cache(cache) == []


def test_several_frames_and_skippable_ones(tmp_path: Path, cache: Path) -> None:
    data = core_bytes()
    skippable = b"\x50\x2a\x4d\x18\x05\0\0\0hello"
    path = tmp_path / "dump.zst"
    path.write_bytes(skippable + zstandard.compress(data[:1000]) + skippable + zstandard.compress(data[1000:]))
    core = open_core(path, cache_directory=cache)
    assert Path(core.image.path).read_bytes() == data


def test_listing_and_removing(tmp_path: Path, cache: Path) -> None:
    assert list_cache(cache) == []
    open_core(packed(tmp_path, "zst"), cache_directory=cache)
    (cache / "dump.bin.0123456789abcdef.core.partial-77").write_bytes(b"left behind")
    (cache / "someone's letter").write_bytes(b"not ours")
    entries = list_cache(cache)
    assert {(entry.source, entry.partial) for entry in entries} == {("dump.bin", True), ("dump.bin", False)}
    assert remove_cached(entries) == sum(entry.disk_bytes for entry in entries) > 0
    assert [path.name for path in cache.iterdir()] == ["someone's letter"]
    assert remove_cached(entries) == 0


def test_the_default_directory_follows_the_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_directory() == tmp_path / "heaphound"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/path")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_directory() == tmp_path / "home/.cache/heaphound"


@pytest.mark.parametrize("level", [1, 19])
@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("known_size", [True, False])
def test_walking_zstd_frames(level: int, checksum: bool, known_size: bool) -> None:
    data = core_bytes()[:300_000]
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=checksum, write_content_size=known_size)
    whole = compressor.compress(data)
    frames = walk_frames(BytesIO(whole), len(whole))
    assert frames.complete
    assert frames.content_bytes == (len(data) if known_size else None)
    for size in range(1, len(whole), max(1, len(whole) // 200)):
        assert not walk_frames(BytesIO(whole[:size]), size).complete


def test_walking_what_is_no_zstd() -> None:
    with pytest.raises(NotZstd):
        walk_frames(BytesIO(b"\x7fELF and so on"), 14)
