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

@final
class HeapLayout:
    """Offsets and masks of objects and MethodTables, as plain numbers. The defaults are those of every 64-bit CoreCLR from 3.1 to 10."""

    def __new__(
        cls,
        *,
        method_table_mask: int = 0xFFFF_FFFF_FFFF_FFF8,  # the bits of an object's first word to keep
        flags_offset: int = 0,
        base_size_offset: int = 4,
        component_flag: int = 0x8000_0000,
        component_mask: int = 0xFFFF,
        contains_pointers_flag: int = 0x0100_0000,
        collectible_flag: int = 0x0020_0000,
        array_length_offset: int = 8,
        alignment: int = 8,
        minimum_size: int = 24,
        class_or_canonical_offset: int | None = None,  # MethodTable -> EEClass or canonical MethodTable; None leaves that check out
        class_method_table_offset: int | None = None,  # EEClass -> MethodTable
    ) -> HeapLayout:
        """Give both class offsets where they are known: MethodTables are then checked against their EEClass before they are believed."""

@final
class Heap:
    """All objects of a heap, free ones included, numbered by ascending address. Immutable; about 3.5 to 5 bytes an object."""

    @staticmethod
    def walk(
        image: Image,
        layout: HeapLayout,
        ranges: list[tuple[int, int]],
        holes: list[tuple[int, int]],
        free_method_table: int,
        progress: Progress | None = None,
    ) -> Heap:
        """Walk ascending, disjoint, 8-aligned ranges, jumping over holes (unused allocation contexts, [pointer, limit + 24)).

        What is no object becomes a gap and the walk goes on at the next place where eight objects in a row look right:
        `walked_bytes + hole_bytes + sum of gaps` is the sum of the ranges. Raises ValueError for ranges or holes out of order,
        LimitExceeded above 2^32 objects.
        """

    @property
    def object_count(self) -> int: ...
    def __len__(self) -> int: ...
    @property
    def gaps(self) -> list[tuple[int, int, str]]:
        """(start, end, reason) of what was passed over, ascending."""

    @property
    def walked_bytes(self) -> int:
        """Bytes of all objects, each rounded up to 8."""

    @property
    def hole_bytes(self) -> int:
        """Bytes of the ranges that the holes cover."""

    @property
    def memory_bytes(self) -> int:
        """What this table itself takes."""

    @property
    def free_type_index(self) -> int | None:
        """Type index of free space; None if the heap has none."""

    @property
    def method_tables(self) -> NDArray[np.uint64]:
        """MethodTable of each type index, ascending."""

    @property
    def type_base_sizes(self) -> NDArray[np.uint32]: ...
    @property
    def type_component_sizes(self) -> NDArray[np.uint32]:
        """0 for types whose objects have no components."""

    @property
    def type_collectible(self) -> NDArray[np.bool_]:
        """The type can be unloaded: its objects keep its LoaderAllocator alive."""

    @property
    def type_contains_pointers(self) -> NDArray[np.bool_]: ...
    @property
    def type_counts(self) -> NDArray[np.uint64]: ...
    @property
    def type_bytes(self) -> NDArray[np.uint64]:
        """Per type, each object rounded up to 8."""

    @property
    def type_unaligned_bytes(self) -> NDArray[np.uint64]:
        """Per type, not rounded, as `dumpheap -stat` sums."""

    def walk_checksum(self) -> int:
        """Sum over all objects of address*31 + MethodTable*17 + rounded size, mod 2^64."""

    def addresses(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint64]: ...
    def type_indices(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint32]: ...
    def sizes(self, start: int = 0, stop: int | None = None) -> NDArray[np.uint64]:
        """Rounded sizes of a run of objects; reads the count of each array from the dump."""

    def addresses_of(self, indices: NDArray[np.uint32]) -> NDArray[np.uint64]: ...
    def types_of(self, indices: NDArray[np.uint32]) -> NDArray[np.uint32]: ...
    def sizes_of(self, indices: NDArray[np.uint32]) -> NDArray[np.uint64]: ...
    def address_of(self, index: int) -> int: ...
    def type_of(self, index: int) -> int: ...
    def size_of(self, index: int, aligned: bool = True) -> int: ...
    def index_of(self, address: int) -> int | None:
        """The object that begins exactly there."""

    def index_containing(self, address: int) -> int | None:
        """The object that the address lies in."""

    def indices_of(self, addresses: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """As `index_of`; 0xFFFFFFFF for none."""

    def indices_containing(self, addresses: NDArray[np.uint64]) -> NDArray[np.uint32]:
        """As `index_containing`; 0xFFFFFFFF for none."""

    def instances(self, type_index: int, limit: int | None = None) -> NDArray[np.uint32]:
        """The first objects of a type; reads the type of every object."""

    def scan_words(self, image: Image, start: int, end: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """8-aligned words in [start, end) that point into an object (free space apart): their addresses and the object. Missing bytes are passed over."""
