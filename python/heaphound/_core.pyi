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

__all__ = ["CallFrames", "Dominators", "Graph", "Heap", "HeapLayout", "Image", "__version__", "demangle"]

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
        """8-aligned words in the ranges that equal one of the values: their addresses, and the index of the value.

        Missing bytes are passed over.
        """

    def find_bytes(self, needle: bytes, ranges: list[tuple[int, int]], limit: int, progress: Progress | None = None) -> NDArray[np.uint64]:
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
        strip_bytes: int = 33554432,
    ) -> Heap:
        """Walk ascending, disjoint, 8-aligned ranges, jumping over holes (unused allocation contexts, [pointer, limit + 24), in any order).

        What is no object becomes a gap and the walk goes on at the next place where eight objects in a row look right:
        `walked_bytes + hole_bytes + sum of gaps` is the sum of the ranges. Long ranges are walked in
        strips of `strip_bytes` at once, and stitched so that the result does not depend on it. Raises Malformed for
        ranges out of order, LimitExceeded above 2^32 objects.
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
        """8-aligned words in [start, end) that point into an object (free space apart): their addresses and the object.

        Missing bytes are passed over.
        """

@final
class Graph:
    """The references between objects. Immutable to its users.

    Outgoing edges are freed after `dominators`, and read from the dump when they are asked for.
    """

    @staticmethod
    def build(
        image: Image,
        layout: HeapLayout,
        heap: Heap,
        extra_edges: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
        uncounted_edges: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
        progress: Progress | None = None,
    ) -> Graph:
        """Read every reference of the heap, which must have been walked with this image and layout.

        `extra_edges` (sources, targets) are dependent handles, primary to secondary: they count as references. A target 0xFFFFFFFF is
        a null secondary: it leads nowhere but counts, with address 0 in the checksum, as ClrMD has it. `uncounted_edges` keep objects
        alive without counting: instance to LoaderAllocator of a collectible type.
        """

    @staticmethod
    def open(
        image: Image,
        layout: HeapLayout,
        heap: Heap,
        extra_edges: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
        uncounted_edges: tuple[NDArray[np.uint32], NDArray[np.uint32]] | None = None,
    ) -> Graph:
        """As `build`, but nothing is read before it is needed.

        `first_path`, `references`, `reachable` and `distances` read only what they follow.
        """

    @staticmethod
    def from_edges(object_count: int, sources: NDArray[np.uint32], targets: NDArray[np.uint32]) -> Graph:
        """A graph of plain arrays. Raises ValueError for an index that is not below `object_count`."""

    @property
    def object_count(self) -> int: ...
    @property
    def reference_count(self) -> int:
        """Non-null references of all objects: fields, elements, dependent handles; several from one object to another count each."""

    def reference_checksum(self) -> int:
        """Sum over them of source address*31 + target address, mod 2^64; 0 for a graph of plain arrays."""

    @property
    def dangling_count(self) -> int:
        """References that lead to no object's start: heap corruption, or a target inside a gap. They count, but lead nowhere."""

    @property
    def dangling_references(self) -> list[tuple[int, int]]:
        """(source index, value) of the first 1000 of those."""

    @property
    def missing_slots(self) -> int:
        """Reference slots whose bytes are not in the dump."""

    @property
    def unknown_types(self) -> list[tuple[int, str]]:
        """(type index, reason) of types whose references cannot be told: edges from their objects are missing."""

    @property
    def memory_bytes(self) -> int:
        """What the edges take now."""

    def references(self, index: int) -> NDArray[np.uint32]:
        """Objects that this one refers to, in the order of its fields, repeated as often as they are there."""

    def referrers(self, index: int, limit: int | None = None, progress: Progress | None = None) -> NDArray[np.uint32]:
        """Objects that refer to this one, ascending, repeated as often as they do. The first call turns all references around."""

    def referrer_counts(self, progress: Progress | None = None) -> NDArray[np.uint32]:
        """How many references lead to each object."""

    def reachable(self, roots: NDArray[np.uint32], progress: Progress | None = None) -> NDArray[np.bool_]: ...
    def distances(self, roots: NDArray[np.uint32], progress: Progress | None = None) -> NDArray[np.uint32]:
        """References from the nearest root to each object (0 for the roots); 0xFFFFFFFF where no root reaches."""

    def dominators(
        self,
        heap: Heap,
        roots: NDArray[np.uint32],
        last_resort: NDArray[np.uint32] | None = None,
        progress: Progress | None = None,
    ) -> Dominators:
        """The exact dominator tree of all that the roots reach, under a virtual root above them, with retained sizes.

        What only `last_resort` roots reach is in the tree too; they, and references from there, change nothing of what the others reach.
        """

    def dominators_of_sizes(
        self,
        sizes: NDArray[np.uint64],
        roots: NDArray[np.uint32],
        last_resort: NDArray[np.uint32] | None = None,
        progress: Progress | None = None,
    ) -> Dominators:
        """The same with the size of each object given."""

    def first_path(
        self,
        roots: NDArray[np.uint32],
        target: int,
        last_resort: NDArray[np.uint32] | None = None,
        progress: Progress | None = None,
    ) -> list[int] | None:
        """One shortest path from a root, else from a last-resort root; None if no root reaches the target.

        Follows references forward from the roots and needs no edges in memory: the quick answer on a graph just opened.
        """

    def shortest_paths(
        self,
        roots: NDArray[np.uint32],
        target: int,
        maximum: int,
        last_resort: NDArray[np.uint32] | None = None,
        progress: Progress | None = None,
    ) -> tuple[list[list[int]], bool]:
        """At most `maximum` shortest paths, root object first and target last, one for each root object that reaches the target.

        Shorter ones first; paths from `last_resort` roots come after all others and only where those do not fill `maximum`.
        The flag says that the search was complete: no root beyond those returned reaches the target.
        """

@final
class Dominators:
    """The dominator tree: what each object alone keeps alive. Retained = freed if this one object became unreachable; exact, 64-bit.

    Sizes are those of objects rounded up to 8. Objects that no root reaches retain 0.
    """

    @property
    def object_count(self) -> int: ...
    @property
    def reachable_count(self) -> int: ...
    @property
    def reachable_bytes(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def immediate(self) -> NDArray[np.uint32]:
        """Immediate dominator of each object: 0xFFFFFFFF the virtual root, 0xFFFFFFFE not reachable. A new array each time."""

    @property
    def retained_bytes(self) -> NDArray[np.uint64]:
        """Retained bytes of each object. A new array each time."""

    def immediate_of(self, index: int) -> int: ...
    def retained_of(self, index: int) -> int: ...
    def retained_count_of(self, index: int) -> int:
        """Objects that go with this one, itself included."""

    def retained_of_many(self, indices: NDArray[np.uint32]) -> NDArray[np.uint64]: ...
    def dominates(self, dominator: int, index: int) -> bool:
        """Every path from the roots to `index` leads over `dominator`. A reachable object dominates itself."""

    def children(self, index: int | None = None, limit: int = 100) -> NDArray[np.uint32]:
        """Objects whose immediate dominator this is (None: the virtual root), largest retained size first."""

    def child_count(self, index: int | None = None) -> int:
        """How many objects `children` has to give."""

    def dominated(self, index: int | None = None, limit: int | None = None) -> NDArray[np.uint32]:
        """All objects that go with this one, itself first; None: everything reachable."""

    def retained_by_type(self, index: int | None = None) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(counts, bytes) per type index of what `dominated` gives."""

    def retained_by_all_types(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """(retained bytes, counts) per type index, summed over instances that have no dominator of the same type.

        So nothing counts twice within a type.
        """

@final
class CallFrames:
    """Undoes frames of native code by the call frame information (.eh_frame) of the images that lie in a core's memory.

    Registers are numbered as DWARF numbers them: x64 17, the last one the instruction pointer; arm64 33, the last two sp and pc.
    """

    def __new__(cls, image: Image) -> CallFrames: ...
    def caller(self, header: int, place: int, registers: list[int | None]) -> tuple[list[int | None], list[tuple[int, int]], bool, bool]:
        """(registers, where they were saved, outermost, signal) of the caller of the function that holds `place`.

        `header` is the address of the image's .eh_frame_hdr; `registers` are None where their value is not known, also in the answer.
        The second part has (register, address of the stack). `outermost`: the information says that a thread begins there. `signal`:
        the caller was interrupted by a signal. Raises Unreadable, and Malformed where nothing covers `place` or the rules make no sense.
        """

def demangle(name: str) -> str | None:
    """A mangled name of C++ in readable form, without parameters; None for a name that is none."""
