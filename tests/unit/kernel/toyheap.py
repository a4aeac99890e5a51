"""A heap made in the test: types with their MethodTables and GCDescs, objects in a row, and what a walk of it must give."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from struct import pack
from typing import Self

from heaphound._core import Graph, Heap, HeapLayout, Image
from tests.dumpwriter import DumpWriter

TYPES_AT = 0x10_0000
HEAP_AT = 0x2000_0000
COMPONENTS, POINTERS, COLLECTIBLE = 1 << 31, 1 << 24, 1 << 21

LAYOUT = HeapLayout(class_or_canonical_offset=40, class_method_table_offset=16)


@dataclass(frozen=True)
class ToyType:
    """A type: its size rule and where its references lie."""

    base_size: int
    component_size: int = 0
    series: tuple[tuple[int, int], ...] = ()  # (offset, bytes) of runs in an object without components
    elements: bool = False  # every component is a reference
    repeating: tuple[tuple[int, int], ...] = ()  # (pointers, skip) in each component
    collectible: bool = False

    def size(self, count: int) -> int:
        return max(24, self.base_size + self.component_size * count)

    def slots(self, count: int) -> list[int]:
        """Offsets of the reference slots of an object."""
        if self.elements:
            return [16 + 8 * i for i in range(count)]
        if self.repeating:
            inside, at = [], 0
            for pointers, skip in self.repeating:
                inside += [at + 8 * i for i in range(pointers)]
                at += 8 * pointers + skip
            assert at == self.component_size
            return [16 + self.component_size * i + offset for i in range(count) for offset in inside]
        return [offset + at for offset, length in self.series for at in range(0, length, 8)]

    def gc_desc(self) -> bytes:
        """What precedes the MethodTable, last word first in the runtime's own order (gcdesc.h)."""
        if self.elements:
            return pack("<qqq", -self.base_size, 16, 1)
        if self.repeating:
            items = b"".join(pack("<II", *item) for item in reversed(self.repeating))
            return items + pack("<qq", 16, -len(self.repeating))
        pairs = b"".join(pack("<qq", length - self.base_size, offset) for offset, length in reversed(self.series))
        return pairs + pack("<q", len(self.series)) if self.series else b""

    def method_table(self, class_at: int) -> bytes:
        flags = self.component_size | (COMPONENTS if self.component_size else 0)
        flags |= POINTERS if self.gc_desc() else 0
        flags |= COLLECTIBLE if self.collectible else 0
        return pack("<II", flags, self.base_size) + bytes(32) + pack("<Q", class_at) + bytes(16)


FREE = ToyType(24, 1)
PLAIN = ToyType(24)
PAIR = ToyType(40, series=((8, 16),))
SCATTERED = ToyType(64, series=((8, 8), (24, 16), (48, 8)))
STRING = ToyType(22, 2)
BYTES = ToyType(24, 1)
ARRAY = ToyType(24, 8, elements=True)
STRUCTS = ToyType(24, 40, repeating=((1, 8), (2, 8)))
UNLOADABLE = ToyType(32, series=((8, 8),), collectible=True)
ALL = (FREE, PLAIN, PAIR, SCATTERED, STRING, BYTES, ARRAY, STRUCTS, UNLOADABLE)


@dataclass
class ToyHeap:
    """Objects in a row at HEAP_AT. References are given as values."""

    objects: list[tuple[int, ToyType, int]] = field(default_factory=list)  # (address, type, count)
    memory: bytearray = field(default_factory=bytearray)
    holes: list[tuple[int, int]] = field(default_factory=list)

    @staticmethod
    def method_table(kind: ToyType) -> int:
        return TYPES_AT + 0x1000 * ALL.index(kind) + 0x800

    @property
    def end(self) -> int:
        return HEAP_AT + len(self.memory)

    def add(self, kind: ToyType, count: int = 0) -> int:
        """A new object behind the others; its address."""
        address = self.end
        self.objects.append((address, kind, count))
        size = (kind.size(count) + 7) & ~7
        head = pack("<Q", self.method_table(kind)) + (pack("<I", count) if kind.component_size else b"")
        self.memory += head.ljust(size, b"\0")
        return address

    def hole(self, size: int) -> None:
        """An unused allocation context: bytes that are no objects."""
        self.holes.append((self.end, self.end + size))
        self.memory += b"\xcc" * size

    def put(self, address: int, value: int) -> None:
        at = address - HEAP_AT
        self.memory[at : at + 8] = pack("<Q", value)

    def slots(self) -> list[int]:
        """Address of every reference slot."""
        return [address + offset for address, kind, count in self.objects for offset in kind.slots(count)]

    def size_of(self, position: int) -> int:
        _, kind, count = self.objects[position]
        return (kind.size(count) + 7) & ~7

    def write(self, path: Path, cuts: tuple[int, ...] = (), absent: tuple[tuple[int, int], ...] = ()) -> Image:
        """As a core; the heap in several segments if cut at offsets, without the bytes of `absent` offsets."""
        writer = DumpWriter()
        for kind in ALL:
            table, class_at = self.method_table(kind), self.method_table(kind) + 0x100
            block = kind.gc_desc() + kind.method_table(class_at)
            block = block.ljust(len(kind.gc_desc()) + 0x100, b"\0") + bytes(16) + pack("<Q", table) + bytes(8)
            writer.segment(table - len(kind.gc_desc()), block)
        edges = sorted({0, len(self.memory), *cuts, *(edge for piece in absent for edge in piece)})
        for start, stop in pairwise(edges):
            if not any(first <= start < last for first, last in absent):
                writer.segment(HEAP_AT + start, bytes(self.memory[start:stop]))
        return Image.open(writer.write(path))

    def walk(self, image: Image, strip_bytes: int = 32 << 20) -> Heap:
        return Heap.walk(image, LAYOUT, [(HEAP_AT, self.end)], self.holes, self.method_table(FREE), strip_bytes=strip_bytes)

    def graph(self, image: Image, heap: Heap) -> Graph:
        return Graph.build(image, LAYOUT, heap)

    def filled(self, count: int) -> Self:
        """Many objects of all types, the same every time."""
        for number in range(count):
            kind = ALL[number * 7 % len(ALL)]
            self.add(kind, number * 13 % 40 if kind.component_size else 0)
        return self
