"""Files on this machine that may stand in for files that the dumped process had mapped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from heaphound.dump.elf_image import ElfHeaders, read_build_id, read_headers
from heaphound.dump.system_root import path_below
from heaphound.errors import DumpError, LimitExceeded, Malformed
from heaphound.limits import LIMITS

_DELETED = " (deleted)"


class NotUsable(Exception):
    """A file that was found and cannot stand in; the message is the reason, for the report."""


class DiskFile:
    """A regular file, open for reading; a context manager. Raises `NotUsable` when it cannot be opened or read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # The path may come from the dump: never block on, or write to, what is no plain file.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotUsable(f"it cannot be opened ({error.strerror})") from None
        status = os.fstat(self._descriptor)
        self.size_bytes = status.st_size
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise NotUsable("it is not a regular file")

    def __enter__(self) -> DiskFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """`size_bytes` from `offset`. Raises `NotUsable` where the file ends before."""
        if offset < 0 or size_bytes < 0 or offset + size_bytes > self.size_bytes:
            raise NotUsable(f"it ends at {self.size_bytes}, before {offset + size_bytes}")
        try:
            data = os.pread(self._descriptor, size_bytes, offset)
        except OSError as error:
            raise NotUsable(f"it cannot be read ({error.strerror})") from None
        if len(data) < size_bytes:
            raise NotUsable(f"it became shorter than {offset + size_bytes} while it was read")
        return data

    def headers(self) -> ElfHeaders | None:
        """The ELF headers, None for a file that is no ELF image. Raises `Malformed`, `NotUsable`."""
        return None if self.size_bytes < 64 else read_headers(self.read, str(self.path))

    def build_id(self, headers: ElfHeaders) -> str | None:
        """The GNU build-id, None when there is none."""
        return read_build_id(headers, lambda address, size: self.read_linked(headers, address, size), str(self.path))

    def read_linked(self, headers: ElfHeaders, address: int, size_bytes: int) -> bytes:
        """Bytes by linked address, as the file holds them. Raises `Malformed` where no segment's file part has them all."""
        for load in headers.loads:
            if load.address <= address and address + size_bytes <= load.address + load.file_bytes:
                return self.read(load.offset + address - load.address, size_bytes)
        raise Malformed(f"{size_bytes} bytes at linked address {address:#x} are in no segment of {self.path}")


class FileFinder:
    """Finds candidates for a path that the dump names. Directories are listed once, at the first question."""

    def __init__(self, directories: Sequence[Path], use_original_paths: bool, system_roots: Sequence[Path] = ()) -> None:
        self._directories = [_checked(directory) for directory in directories]
        self._system_roots = [_checked(root) for root in system_roots]
        self._use_original_paths = use_original_paths and not self._system_roots
        self._by_name: list[dict[str, list[Path]]] | None = None

    def candidates(self, path: str) -> Iterator[Path]:
        """Existing files for `path`, the likeliest first: below a system root or a directory at the whole path, below a directory by name.

        At the path itself only where no system root is given: the files of this machine are then not those of the process.
        """
        wanted = path.removesuffix(_DELETED)
        if not wanted.startswith("/") or "\0" in wanted:
            return
        seen: set[Path] = set()
        for candidate in self._all(wanted):
            if candidate not in seen:
                seen.add(candidate)
                yield candidate

    def _all(self, wanted: str) -> Iterator[Path]:
        inside = os.path.normpath(wanted).lstrip("/")  # no ".." of a hostile path leads out of the given directory
        for root in self._system_roots:
            below = path_below(root, inside)
            if below is not None and below.is_file():
                yield below
        for directory in self._directories:
            if (directory / inside).is_file():
                yield directory / inside
        name = os.path.basename(inside)
        if self._by_name is None:
            self._by_name = [_index(directory) for directory in self._directories]
        for names in self._by_name:
            yield from names.get(name, [])
        if self._use_original_paths and Path(wanted).is_file():
            yield Path(wanted)


def _checked(directory: Path) -> Path:
    if not directory.is_dir():
        raise DumpError(f"{directory} is not a directory: give one that holds the binaries of the dumped process")
    return directory


def _index(directory: Path) -> dict[str, list[Path]]:
    """Every file below `directory` by its name; links to directories are not followed. Raises `LimitExceeded`."""
    names: dict[str, list[Path]] = {}
    count = 0
    for folder, _, files in os.walk(directory):
        count += len(files)
        if count > LIMITS.binaries_files:
            raise LimitExceeded(f"{directory} holds more than {LIMITS.binaries_files} files: give a smaller directory")
        for file in files:
            names.setdefault(file, []).append(Path(folder) / file)
    return names
