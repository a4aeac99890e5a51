"""The heap walk: this runtime's offsets as the kernel's plain numbers, the ranges to go through and the holes to jump over."""

from heaphound._core import Heap, HeapLayout
from heaphound.layouts.schema import Layout
from heaphound.progress import Progress
from heaphound.runtime.heap import GCHeap
from heaphound.runtime.runtime import Runtime

ADDRESS_BITS = (1 << 64) - 1
SMALLEST_OBJECT_BYTES = 24  # min_obj_size of src/coreclr/gc/gcpriv.h


def heap_layout(layout: Layout) -> HeapLayout:
    """What the kernel needs of a layout. LayoutError names what is missing."""
    return HeapLayout(
        method_table_mask=ADDRESS_BITS ^ layout.constant("ObjectToMethodTableUnmask"),
        flags_offset=layout.offset("MethodTable", "MTFlags"),
        base_size_offset=layout.offset("MethodTable", "BaseSize"),
        component_flag=layout.constant("MethodTableFlags.HasComponentSize"),
        component_mask=layout.constant("MethodTableFlags.ComponentSizeMask"),
        contains_pointers_flag=layout.constant("MethodTableFlags.ContainsGCPointers"),
        collectible_flag=layout.constant("MethodTableFlags.Collectible"),
        array_length_offset=layout.offset("Array", "m_NumComponents"),
        alignment=8,
        minimum_size=SMALLEST_OBJECT_BYTES,
        class_or_canonical_offset=layout.offset("MethodTable", "EEClassOrCanonMT"),
        class_method_table_offset=layout.offset("EEClass", "MethodTable"),
    )


def unused_stretches(heap: GCHeap) -> list[tuple[int, int]]:
    """[start, end) without objects: each allocation context and the room for one smallest object that the GC keeps behind its limit."""
    return [(start, end + SMALLEST_OBJECT_BYTES) for start, end in heap.allocation_contexts]


def walk_heap(runtime: Runtime, heap: GCHeap, progress: Progress | None = None) -> Heap:
    """Every object of every segment, free blocks included; stretches that make no sense are in the result's `gaps`."""
    return Heap.walk(
        runtime.memory.image,
        heap_layout(runtime.layout),
        heap.object_ranges(),
        unused_stretches(heap),
        runtime.global_value("FreeObjectMethodTable"),
        progress,
    )
