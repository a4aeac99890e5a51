"""Compressed dumps: unpacked once, as a stream, into a cache file that the next run finds again."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from heaphound.dump.cache import cache_path, default_cache_directory
from heaphound.dump.file_check import FileFacts
from heaphound.dump.split_parts import JOIN, following_part
from heaphound.dump.zstd_frames import NotZstd, walk_frames
from heaphound.errors import DumpError
from heaphound.progress import Progress, silent

_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 16  # the unit in which zeros are left out of the cache file
_ZEROS = bytes(_BLOCK_BYTES)
_ZSTD_WINDOW_BYTES = 1 << 31  # zstd --long=31, the most that the format's own tool takes
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


def decompress_to_cache(facts: FileFacts, *, progress: Progress = silent, cache_directory: Path | None = None) -> Path:
    """The path of the unpacked dump, made now or found from an earlier run.

    Memory: a few MiB. Zero blocks are written as holes. The file takes its name only when it is whole; whatever stops
    the work earlier, Ctrl-C included, removes it. Raises `DumpError` when the input is cut short or corrupt, the
    directory cannot be written, or the disk is full.
    """
    directory = cache_directory or default_cache_directory()
    target = cache_path(directory, facts.path, facts.status)
    if target.is_file():
        with suppress(OSError):  # a cache of another owner is still of use; only its time of use is not kept
            os.utime(target)
        return target
    content_bytes = _check_zstd(facts) if facts.compression == "zst" else None
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            partial.unlink()
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # a dump holds secrets
    except OSError as error:
        raise DumpError(
            f"the cache directory {directory} for the unpacked dump cannot be written ({error.strerror}): "
            f"name another one, or set XDG_CACHE_HOME"
        ) from None
    try:
        with open(descriptor, "wb", buffering=0) as output:
            _write_sparse(cast(BinaryIO, output), _unpack(facts, progress), directory, content_bytes)
        partial.replace(target)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    return target


def _check_zstd(facts: FileFacts) -> int | None:
    """The unpacked size where the frames say it."""
    with open(facts.path, "rb") as file:
        try:
            frames = walk_frames(file, facts.status.st_size)
        except NotZstd as error:
            raise _corrupt(facts, f"no zstd block at byte {error.offset}") from None
    if not frames.complete:
        raise _cut_short(facts)
    return frames.content_bytes


def _unpack(facts: FileFacts, progress: Progress) -> Iterator[bytes]:
    """Pieces of the content, at most 1 MiB each; progress counts bytes of the compressed file, whose total is known."""
    total = facts.status.st_size
    with open(facts.path, "rb") as file:
        stream, errors = _stream(facts, file)
        while True:
            progress("decompressing", min(file.tell(), total), total)
            try:
                piece = stream.read(_CHUNK_BYTES)
            except EOFError:
                raise _cut_short(facts) from None
            except errors as error:
                raise _corrupt(facts, str(error)) from None
            if not piece:
                break
            yield piece
    progress("decompressing", total, total)


def _stream(facts: FileFacts, file: BinaryIO) -> tuple[_Stream, tuple[type[Exception], ...]]:
    """A reader of the content and the errors by which its library says that the input is corrupt.

    The two libraries outside the standard one are loaded only when their format is met: a plain dump opens faster.
    """
    if facts.compression == "gz":
        return gzip.GzipFile(fileobj=file, mode="rb"), (gzip.BadGzipFile, zlib.error)
    if facts.compression == "xz":
        return lzma.LZMAFile(file), (lzma.LZMAError,)
    if facts.compression == "lz4":
        import lz4.frame

        return lz4.frame.LZ4FrameFile(file, mode="rb"), (RuntimeError,)
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    return decompressor.stream_reader(file, read_across_frames=True), (zstandard.ZstdError,)


def _write_sparse(output: BinaryIO, pieces: Iterator[bytes], directory: Path, content_bytes: int | None) -> None:
    written = 0
    for piece in pieces:
        for start in range(0, len(piece), _BLOCK_BYTES):
            block = piece[start : start + _BLOCK_BYTES]
            try:
                if block == _ZEROS[: len(block)]:
                    output.seek(len(block), os.SEEK_CUR)
                else:
                    _write_all(output, block)
            except OSError as error:
                raise _not_written(error, directory, written + start, content_bytes) from None
        written += len(piece)
    try:
        output.truncate(written)
        os.fdatasync(output.fileno())  # the name that follows promises whole content, after a power cut too
    except OSError as error:
        raise _not_written(error, directory, written, content_bytes) from None


def _write_all(output: BinaryIO, block: bytes) -> None:
    while block:
        block = block[output.write(block) :]


def _not_written(error: OSError, directory: Path, written: int, content_bytes: int | None) -> DumpError:
    if error.errno not in _FULL:
        return DumpError(f"writing the unpacked dump into {directory} failed ({error.strerror}): name another cache directory")
    needed = f"the dump unpacks to {content_bytes} bytes" if content_bytes is not None else "how much it needs is not known beforehand"
    reason = "the file size limit is reached" if error.errno == errno.EFBIG else "the disk is full"
    return DumpError(
        f"unpacking into {directory} stopped after {written} bytes because {reason} ({needed}): "
        f"make room there, or name a cache directory on another disk (XDG_CACHE_HOME)"
    )


def _cut_short(facts: FileFacts) -> DumpError:
    following = following_part(facts.path)
    remedy = f"{following} may be its next part: {JOIN}" if following else "copy the whole file again"
    return DumpError(f"{facts.path} is cut short: its {facts.compression} stream ends before its end mark; {remedy}")


def _corrupt(facts: FileFacts, detail: str) -> DumpError:
    return DumpError(f"{facts.path} is corrupt: its {facts.compression} stream does not unpack ({detail}); copy the file again")
