"""The Rust kernel: the bytes of a core, the heap's object table, its reference graph, dominators and paths.

Arrays are one-dimensional numpy arrays. Addresses are plain ints. Bytes that the dump does not hold raise
`heaphound.errors.Unreadable`; a file that is no usable core raises `heaphound.errors.DumpError`.
Calls that take `progress` run without the GIL on all processors, call `progress(phase, done, total)` about ten times a
second from the calling thread, and end with KeyboardInterrupt on Ctrl-C; whatever `progress` raises ends them too.
"""

from os import PathLike
from typing import final

import numpy as np
from numpy.typing import NDArray

from heaphound.progress import Progress

__version__: str

@final
class Image:
    """The memory of the dumped process: the core's segments over a mapping of the file, and what was laid under them. Immutable."""

    @staticmethod
    def open(path: str | PathLike[str]) -> Image:
        """Open an ELF64 little-endian core of x64 or arm64. A truncated file opens; `expected_size_bytes` tells how much is missing."""

    @property
    def path(self) -> str: ...
    @property
    def machine(self) -> str:
        """`x64` or `arm64`."""

    @property
    def file_size_bytes(self) -> int: ...
    @property
    def expected_size_bytes(self) -> int:
        """End of the last byte that the headers promise; more than `file_size_bytes` means that the file was cut."""

    @property
    def segments(self) -> list[tuple[int, int, int, int, int]]:
        """(address, size in the file as promised, size in memory, file offset, flags) of each PT_LOAD, ascending."""

    @property
    def notes(self) -> list[tuple[int, int]]:
        """(file offset, size) of each PT_NOTE."""

    @property
    def readable_ranges(self) -> list[tuple[int, int]]:
        """(start, end) of all that can be read, ascending, neighbours joined; backing included."""

    def file_bytes(self, offset: int, size: int) -> bytes:
        """Raw bytes of the core file; Unreadable past its end."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the process; Unreadable when any of them is missing."""

    def readable_bytes(self, address: int, limit: int) -> int:
        """How many bytes follow `address` without a break, at most `limit`."""

    def u8(self, address: int) -> int: ...
    def u16(self, address: int) -> int: ...
    def u32(self, address: int) -> int: ...
    def u64(self, address: int) -> int: ...
    def i32(self, address: int) -> int: ...
    def i64(self, address: int) -> int: ...
    def gather_u64(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """The u64 at each address, and whether it is there (where it is not, the value is 0 and means nothing)."""

    def gather_u32(self, addresses: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The u32 at each address, and whether it is there."""

    def with_backing(self, path: str | PathLike[str], mappings: list[tuple[int, int, int]]) -> Image:
        """A new image that reads (address, size, file offset) ranges from another file where the core has no bytes."""

    def with_bytes(self, address: int, data: bytes) -> Image:
        """A new image that has these bytes where the core has none."""

    def find_u64(
        self, values: NDArray[np.uint64], ranges: list[tuple[int, int]], limit: int, progress: Progress | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """8-aligned words in the ranges that equal one of the values: their addresses, and the index of the value. Missing bytes are passed over."""

    def find_bytes(
        self, needle: bytes, ranges: list[tuple[int, int]], limit: int, progress: Progress | None = None
    ) -> NDArray[np.uint64]:
        """Addresses in the ranges where the bytes lie, overlapping matches not counted twice. Missing bytes are passed over."""
