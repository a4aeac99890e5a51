"""Self-checks on the layout's numbers among themselves: what two of them say of one thing must agree, whatever dump is read."""

from itertools import pairwise

from heaphound.layouts.schema import Layout
from heaphound.runtime.check_subject import CheckSubject, expect

# One bit each (flags), or an unbroken run of bits (masks); `prefix.*` stands for every constant of that name.
FLAGS = (
    "DynamicClassFlags.Allocated",
    "DynamicClassFlags.Collectible",
    "DynamicMethodDescFlags.LCGMethod",
    "FieldDesc.IsRVA",
    "FieldDesc.IsStatic",
    "FieldDesc.IsThreadStatic",
    "HeapSegmentFlags.ReadOnly",
    "MethodDescAlignment",
    "MethodTableFlags.Collectible",
    "MethodTableFlags.ContainsGCPointers",
    "MethodTableFlags.HasComponentSize",
    "MethodTableFlags.HasFinalizer",
    "MethodTableFlags.StaticsGenerics",
    "MethodTableFlags2.DynamicStatics",
    "MethodTableFlags2.HasModuleOverride",
    "ObjectHeader.HashCode",
    "ObjectHeader.HashOrSyncBlockIndex",
    "ObjectHeader.SpinLock",
    "PEImageLayoutFlags.Mapped",
    "RangeSectionFlags.Collectible",
    "RangeSectionFlags.ReadyToRun",
    "TypeHandle.TypeDescBit",
)
MASKS = (
    "FieldDesc.OffsetMask",
    "FieldDesc.TokenMask",
    "HashMapValueMask",
    "MethodTable.CanonicalTagMask",
    "MethodTableFlags.CategoryArrayMask",
    "MethodTableFlags.CategoryMask",
    "MethodTableFlags.ComponentSizeMask",
    "MethodTableFlags.GenericsMask",
    "MethodTableFlags.StaticsMask",
    "MethodTableFlags2.MultipurposeSlotsMask",
    "ObjectHeader.SyncBlockIndexMask",
    "ObjectHeader.ThinLockRecursionMask",
    "ObjectHeader.ThinLockThreadIdMask",
    "ObjectToMethodTableUnmask",
    "StaticsPointerMask",
)
# The second begins at the bit where the first ends (field.h, syncblk.h, methodtable.h, hash.h of 3.0 to 10.0).
ADJOINING = (
    ("FieldDesc.TokenMask", "FieldDesc.IsStatic"),
    ("FieldDesc.IsStatic", "FieldDesc.IsThreadStatic"),
    ("FieldDesc.IsThreadStatic", "FieldDesc.IsRVA"),
    ("MethodTableFlags.ComponentSizeMask", "MethodTableFlags.CategoryMask"),
    ("ObjectHeader.SyncBlockIndexMask", "ObjectHeader.HashCode"),
    ("ObjectHeader.HashCode", "ObjectHeader.HashOrSyncBlockIndex"),
    ("ObjectHeader.HashOrSyncBlockIndex", "ObjectHeader.SpinLock"),
    ("ObjectHeader.ThinLockThreadIdMask", "ObjectHeader.ThinLockRecursionMask"),
)
# (lower, upper): every bit of the first is one of the second.
WITHIN = (
    ("MethodTableFlags.CategoryArray", "MethodTableFlags.CategoryArrayMask"),
    ("MethodTableFlags.CategoryArrayMask", "MethodTableFlags.CategoryMask"),
    ("MethodTableFlags.CategoryInterface", "MethodTableFlags.CategoryMask"),
    ("MethodTableFlags.CategoryNullable", "MethodTableFlags.CategoryMask"),
    ("MethodTableFlags.CategorySZArrayIf", "MethodTableFlags.CategoryMask"),
    ("MethodTableFlags.CategoryTruePrimitive", "MethodTableFlags.CategoryMask"),
    ("MethodTableFlags.GenericsTypicalInst", "MethodTableFlags.GenericsMask"),
    ("MethodTableFlags.StaticsGenerics", "MethodTableFlags.StaticsMask"),
    ("MethodTableFlags2.HasModuleOverride", "MethodTableFlags2.MultipurposeSlotsMask"),
)
OFFSETS_NOT_PLACED = 6  # FIELD_OFFSET_MAX - FIELD_OFFSET_LAST_REAL_OFFSET of field.h
HANDLE_SEGMENT_BYTES = 0x10000  # HANDLE_SEGMENT_SIZE of src/coreclr/gc/handletablepriv.h, 3.0 to 10.0
WORD_BITS, WORD_BYTES = 64, 8
ONE_PLACE = {("Capture", "Unwound")}  # MachineState of arm64 is unwound where it was captured
SHARED_PLACES = {"EETypeHashTable"}  # the fields of the table and those of its entries are under one name, as in the runtime's descriptor


def check_bits(subject: CheckSubject) -> None:
    """Flags are one bit, masks a run of bits, parts of one word adjoin and do not overlap."""
    layout = subject.layout
    for name in FLAGS:
        value = _constant(layout, name)
        expect(value is None or value.bit_count() == 1, f"{name}: {value} is not one bit")
    for name in MASKS:
        value = _constant(layout, name)
        expect(value is None or _is_run(value), f"{name}: {value:#x} is not a run of bits" if value is not None else "")
    for first, second in ADJOINING:
        below, above = _constant(layout, first), _constant(layout, second)
        adjoin = below is None or above is None or below.bit_length() == (above & -above).bit_length() - 1
        expect(adjoin, f"{second}: it does not begin at the bit where {first} ends")
    for inner, outer in WITHIN:
        part, whole = _constant(layout, inner), _constant(layout, outer)
        expect(part is None or whole is None or not part & ~whole, f"{inner}: it has bits outside of {outer}")


def _constant(layout: Layout, name: str) -> int | None:
    return layout.constant(name) if layout.has_constant(name) else None


def _is_run(value: int) -> bool:
    lowest = value & -value
    return 0 < value < 1 << WORD_BITS and not (value + lowest) & value


def check_packing(subject: CheckSubject) -> None:
    """Packed words and tables of fixed size come out whole: FieldDesc's second word, buckets of hash maps, segments of handles."""
    layout, constant = subject.layout, subject.layout.constant
    mask, shift = constant("FieldDesc.OffsetMask"), constant("FieldDesc.ElementTypeShift")
    expect(mask + 1 == 1 << shift, f"FieldDesc.ElementTypeShift: {shift}, while OffsetMask is {mask:#x}")
    most = constant("FieldDesc.MaximumOffset")
    expect(most == mask - OFFSETS_NOT_PLACED, f"FieldDesc.MaximumOffset: {most:#x}, while OffsetMask is {mask:#x}")
    slots, size = constant("HashMapSlotsPerBucket"), layout.size("Bucket")
    keys, values = layout.offset("Bucket", "Keys"), layout.offset("Bucket", "Values")
    whole = (keys, values, size) == (0, slots * WORD_BYTES, 2 * slots * WORD_BYTES)
    expect(whole, f"Bucket: keys at {keys} and values at {values} of {size} bytes, with {slots} slots")
    value_mask = constant("HashMapValueMask")
    expect(value_mask == (1 << WORD_BITS - 1) - 1, f"HashMapValueMask: {value_mask:#x} is not all bits but the highest")
    blocks, per_block = constant("HandleTable.BlocksPerSegment"), constant("HandleTable.HandlesPerBlock")
    start = layout.offset("TableSegment", "Values")
    filled = start + blocks * per_block * WORD_BYTES == HANDLE_SEGMENT_BYTES
    expect(filled, f"TableSegment.Values: {blocks} blocks of {per_block} handles from {start} on do not fill a segment of 64 KiB")
    twin, own = (
        _context(layout, "GCAllocContext", "Pointer", "Limit"),
        _context(layout, "Generation", "AllocContextPointer", "AllocContextLimit"),
    )
    expect(twin == own, f"Generation.AllocContextPointer: {own}, while an allocation context elsewhere has {twin}")


def _context(layout: Layout, type_name: str, pointer: str, limit: str) -> tuple[int, int]:
    return layout.offset(type_name, pointer), layout.offset(type_name, limit)


def check_places(subject: CheckSubject) -> None:
    """No two fields of one structure begin at one place, and none begins behind the structure's end.

    The runtime's own descriptor is not questioned: it has unions, and names fields of several structures under one.
    """
    for name, known in subject.layout.types.items():
        if name in SHARED_PLACES:
            continue
        own = sorted((field.offset, field_name) for field_name, field in known.fields.items() if field.origin != "descriptor")
        for (before, first), (after, second) in pairwise(own):
            expect(before != after or (first, second) in ONE_PLACE, f"{name}.{second}: it begins at {after}, as {name}.{first} does")
        if known.size_bytes is not None and own:
            last, field_name = own[-1]
            expect(last < known.size_bytes, f"{name}.{field_name}: it begins at {last}, and the structure has {known.size_bytes} bytes")
