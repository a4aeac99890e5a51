"""A process with a toy CoreCLR: the GC's tables, threads and handles that a test asks for, written into memory by the layout's offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from struct import pack
from typing import Any

from heaphound.dump.memory import Memory
from heaphound.layouts.load import layout_file
from heaphound.layouts.schema import Layout
from heaphound.runtime.gc_variables import GCVariables, find_gc_variables
from heaphound.runtime.runtime import Runtime
from tests.unit.runtime.written_memory import WrittenImage

BLOCK, BLOCK_BYTES = 0x7F0000000000, 1 << 20
GENERATION_BYTES = 256
START_SEGMENT, ALLOCATION_START = 0x38, 0x40
HEAP_FIELDS = {"AllocAllocated": 8, "EphemeralHeapSegment": 16, "FinalizeQueue": 24, "GenerationTable": 64}
HEAP_BYTES = 64 + 5 * GENERATION_BYTES


@dataclass
class ToyHeap:
    """One heap's state; `lists` are the segments of each generation, as (address, start, end, flags)."""

    lists: dict[int, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    ephemeral: int = 0
    allocated: int = 0
    starts: dict[int, int] = field(default_factory=dict)
    contexts: dict[int, tuple[int, int]] = field(default_factory=dict)
    finalizable: list[int] = field(default_factory=list)
    critical: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)


class ToyProcess:
    """Collects what there is; `runtime()` writes the tables and gives the Runtime that reads them."""

    def __init__(self, version: str = "9.0", *, server: bool = False, regions: bool = True, heaps: int = 1) -> None:
        self.image = WrittenImage()
        self.image.write(BLOCK, bytes(BLOCK_BYTES))
        self.memory = Memory(self.image)  # type: ignore[arg-type]  # the methods that Memory calls are there
        self.next = BLOCK + 0x1000
        self.layout: Layout = layout_file(f"{version}.0", "x64", None).layout
        self.server, self.regions = server, regions
        self.heaps = [ToyHeap() for _ in range(heaps)]
        self.globals: dict[str, int] = {}
        self.invalid_count, self.background_state = 0, 2
        self.handle_map = 0
        self.threads: list[int] = []
        self.store = self.structure("ThreadStore", 256)
        self.variable("ThreadStore", self.store)

    def allocate(self, size: int) -> int:
        """Address of `size` zeroed bytes."""
        found = self.next
        self.next += -(-size // 16) * 16
        assert self.next <= BLOCK + BLOCK_BYTES
        return found

    def put(self, address: int, value: int, size: int = 8) -> None:
        """Write one integer."""
        self.image.write(address, value.to_bytes(size, "little"))

    def words(self, *values: int) -> int:
        """Address of an array of words."""
        found = self.allocate(8 * len(values) + 8)
        self.image.write(found, pack(f"<{len(values)}Q", *values))
        return found

    def structure(self, type_name: str, size: int, **fields: int) -> int:
        """Address of a structure with these pointer-sized fields."""
        found = self.allocate(size)
        self.fill(found, type_name, **fields)
        return found

    def fill(self, address: int, type_name: str, *, size: int = 8, **fields: int) -> None:
        """Write fields of a structure, each `size` bytes wide."""
        for name, value in fields.items():
            self.put(address + self.layout.offset(type_name, name), value, size)

    def variable(self, name: str, value: int) -> int:
        """A global variable of the runtime; its address."""
        self.globals[name] = self.words(value)
        return self.globals[name]

    def segment(self, generation: int, start: int, end: int, *, heap: int = 0, flags: int = 0, ephemeral: bool = False) -> int:
        """A segment behind the others of its generation; the ephemeral one's end is the heap's allocation mark."""
        address = self.structure(
            "HeapSegment",
            72,
            Mem=start,
            Allocated=start if ephemeral else end,
            Committed=end + 0x100,
            Reserved=end + 0x200,
            Flags=flags,
        )
        toy = self.heaps[heap]
        toy.lists.setdefault(generation, []).append((address, start, end, flags))
        if ephemeral:
            toy.ephemeral, toy.allocated = address, end
        return address

    def thread(self, managed_id: int, os_id: int, *, state: int = 0x200, context: tuple[int, int] = (0, 0), **fields: int) -> int:
        """A managed thread at the end of the list (layouts of 9.0: contexts behind RuntimeThreadLocals)."""
        local = self.words(*context)
        address = self.structure("Thread", 1104, **{"RuntimeThreadLocals": local, "OSId": os_id, "Frame": (1 << 64) - 1, **fields})
        self.fill(address, "Thread", size=4, Id=managed_id, State=state)
        self.threads.append(address)
        return address

    def handle_segment(self, table: int, blocks: list[tuple[int, int, list[int]]], following: int = 0) -> int:
        """A segment of a handle table: (type, user data block or 0xFF, values) of each block in use; the others are free."""
        address = self.allocate(65536)
        types, users = [0xFF] * 120, [0xFF] * 120
        for number, (kind, user, values) in enumerate(blocks):
            types[number], users[number] = kind, user
            at = address + self.layout.offset("TableSegment", "Values") + number * 64 * 8
            self.image.write(at, pack(f"<{len(values)}Q", *values))
        self.image.write(address + self.layout.offset("TableSegment", "BlockType"), bytes(types))
        self.image.write(address + self.layout.offset("TableSegment", "UserData"), bytes(users))
        self.fill(address, "TableSegment", NextSegment=following, HandleTable=table)
        return address

    def handle_tables(self, *tables: int) -> None:
        """One map with one bucket that holds these tables, one a slot."""
        bucket = self.structure("HandleTableBucket", 32, Table=self.words(*tables))
        buckets = self.words(bucket, *[0] * 9)
        self.handle_map = self.structure("HandleTableMap", 32, Buckets=buckets)

    def runtime(self, **globals_: int) -> Runtime:
        """Write the GC's tables and give the Runtime."""
        self._link_threads()
        gc = self._gc_variables()
        self.globals.setdefault("GcDacVars", self.words(gc))
        self.globals.update(globals_)
        layout = self.layout.with_globals(self.globals, "layout file")
        found = find_gc_variables(self.memory, layout, [self.globals["GcDacVars"]])
        return make_runtime(self.memory, layout, found)

    def _link_threads(self) -> None:
        link = self.layout.offset("Thread", "LinkNext")
        heads = [self.store + self.layout.offset("ThreadStore", "FirstThreadLink"), *[thread + link for thread in self.threads]]
        for head, following in zip(heads, [*heads[1:], 0], strict=True):
            self.put(head, following)
        self.fill(self.store, "ThreadStore", size=4, ThreadCount=len(self.threads))

    def _gc_variables(self) -> int:
        offsets = [0, START_SEGMENT, (1 << 32) - 1 if self.regions else ALLOCATION_START]
        generation_fields = self.allocate(16)
        self.image.write(generation_fields, pack("<3I", *offsets))
        fields = [0] * 19
        for name, offset in HEAP_FIELDS.items():
            fields[self.layout.constant(f"GCHeapFieldIndex.{name}")] = offset
        heap_fields = self.allocate(80)
        self.image.write(heap_fields, pack("<19I", *fields))
        heaps = [self._heap(heap) for heap in self.heaps]
        address = self.structure(
            "GcDacVars",
            400,
            GenerationSize=GENERATION_BYTES,
            TotalGenerationCount=5,
            StructuresInvalidCount=self.words(self.invalid_count),
            CurrentGCState=self.words(self.background_state),
            HandleTableMap=self.handle_map,
            HeapFieldOffsets=heap_fields,
            GenerationFieldOffsets=generation_fields,
        )
        self.image.write(address, bytes([2, 1]))
        if self.server:
            self.fill(address, "GcDacVars", HeapCount=self.words(len(heaps)), Heaps=self.words(self.words(*heaps)))
        else:
            (heap,) = heaps
            pointers = {name: heap + offset for name, offset in HEAP_FIELDS.items()}
            self.fill(address, "GcDacVars", **pointers)
        return address

    def _heap(self, toy: ToyHeap) -> int:
        address = self.allocate(HEAP_BYTES)
        queue = [*toy.finalizable, *toy.critical, *toy.ready]
        array = self.words(*queue, 0, 0)
        ends = [array + 8 * count for count in (len(toy.finalizable), len(toy.finalizable) + len(toy.critical), len(queue))]
        fills = self.words(array, array, array, array, *ends, array, array + 8 * len(queue) + 16)
        for name, value in {"AllocAllocated": toy.allocated, "EphemeralHeapSegment": toy.ephemeral, "FinalizeQueue": fills}.items():
            self.put(address + HEAP_FIELDS[name], value)
        for number in range(5):
            at = address + HEAP_FIELDS["GenerationTable"] + number * GENERATION_BYTES
            chain = toy.lists.get(number, [])
            for (segment, *_), (following, *_) in pairwise(chain):
                self.fill(segment, "HeapSegment", Next=following)
            self.put(at, toy.contexts.get(number, (0, 0))[0])
            self.put(at + 8, toy.contexts.get(number, (0, 0))[1])
            self.put(at + START_SEGMENT, chain[0][0] if chain else 0)
            self.put(at + ALLOCATION_START, toy.starts.get(number, 0))
        return address


def make_runtime(memory: Memory, layout: Layout, gc: GCVariables) -> Runtime:
    """A Runtime over a memory, without a core behind it."""
    nothing: Any = None
    return Runtime(
        core=nothing,
        memory=memory,
        layout=layout,
        layout_name=f"coreclr-{layout.version}-x64",
        version=f"{layout.version}.0",
        commit=None,
        module=nothing,
        build_id=None,
        single_file=False,
        descriptor=None,
        descriptor_missing=None,
        gc=gc,
    )
