"""What the constants of a layout must be among themselves: flags, masks, parts of one word, tables of fixed size, numbers in a row."""

from collections.abc import Iterator, Sequence
from typing import Final

from heaphound.layouts.schema import Broken, Layout

# One bit each.
FLAGS: Final = (
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
# An unbroken run of bits.
MASKS: Final = (
    "MethodTableFlags.CategoryArrayMask",
    "MethodTableFlags.CategoryMask",
    "MethodTableFlags.GenericsMask",
    "MethodTableFlags.StaticsMask",
    "ObjectHeader.ThinLockRecursionMask",
    "StaticsPointerMask",
)
# Such a run that begins at the lowest bit. StubCodeBlockLast is the highest value of four bits (STUB_CODE_BLOCK_LAST, codeman.h).
LOW_MASKS: Final = (
    "FieldDesc.OffsetMask",
    "FieldDesc.TokenMask",
    "HashMapValueMask",
    "MethodTable.CanonicalTagMask",
    "MethodTableFlags.ComponentSizeMask",
    "MethodTableFlags2.MultipurposeSlotsMask",
    "ObjectHeader.SyncBlockIndexMask",
    "ObjectHeader.ThinLockThreadIdMask",
    "ObjectToMethodTableUnmask",
    "StubCodeBlockLast",
)
# The second begins at the bit where the first ends (field.h, syncblk.h, methodtable.h, hash.h of 3.0 to 10.0).
ADJOINING: Final = (
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
WITHIN: Final = (
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
# The first is the highest bit of the second, the mask of two bits (enum_flag_StaticsMask_*, methodtable.h to 8.0).
HIGHEST_OF_TWO: Final = (("MethodTableFlags.StaticsGenerics", "MethodTableFlags.StaticsMask"),)
OFFSETS_NOT_PLACED: Final = 6  # FIELD_OFFSET_MAX - FIELD_OFFSET_LAST_REAL_OFFSET of field.h
HANDLE_SEGMENT_BYTES: Final = 0x10000  # HANDLE_SEGMENT_SIZE of src/coreclr/gc/handletablepriv.h, 3.0 to 10.0
WORD_BITS: Final = 64
WORD_BYTES: Final = 8
_VTABLE, _MARK = "VTableIndex.", "FrameIdentifier"
_KIND_BYTES = 6
_WITHOUT_RETURN_KINDS = 4


def broken_constants(layout: Layout) -> Iterator[Broken]:
    """Each rule that a constant breaks, with the names of all numbers that may be the wrong one."""
    yield from _bits(layout)
    yield from _parts(layout)
    yield from _packing(layout)
    yield from _handle_segments(layout)
    yield from _frame_classes(layout)
    yield from _returns(layout)


def _bits(layout: Layout) -> Iterator[Broken]:
    for name in FLAGS:
        if (value := _constant(layout, name)) is not None and value.bit_count() != 1:
            yield _broken([name], f"{name}: {value} is not one bit")
    for name in MASKS:
        if (value := _constant(layout, name)) is not None and not _is_run(value):
            yield _broken([name], f"{name}: {value:#x} is not a run of bits")
    for name in LOW_MASKS:
        if (value := _constant(layout, name)) is not None and not (_is_run(value) and value & 1):
            yield _broken([name], f"{name}: {value:#x} is not a run of bits from the lowest on")


def _parts(layout: Layout) -> Iterator[Broken]:
    for first, second in ADJOINING:
        below, above = _constant(layout, first), _constant(layout, second)
        if below is not None and above is not None and below.bit_length() != (above & -above).bit_length() - 1:
            yield _broken([first, second], f"{second}: it does not begin at the bit where {first} ends")
    for inner, outer in WITHIN:
        part, whole = _constant(layout, inner), _constant(layout, outer)
        if part is not None and whole is not None and part & ~whole:
            yield _broken([inner, outer], f"{inner}: it has bits outside of {outer}")
    for high, mask in HIGHEST_OF_TWO:
        part, whole = _constant(layout, high), _constant(layout, mask)
        if part is not None and whole is not None and whole != part | part >> 1:
            yield _broken([high, mask], f"{mask}: {whole:#x} is not of two bits, the higher of which is {high}")


def _constant(layout: Layout, name: str) -> int | None:
    return layout.constants.get(name)


def _broken(constants: Sequence[str], sentence: str, *others: str) -> Broken:
    return Broken((*(f"constant {name}" for name in constants), *others), sentence)


def _is_run(value: int) -> bool:
    lowest = value & -value
    return 0 < value < 1 << WORD_BITS and not (value + lowest) & value


def _packing(layout: Layout) -> Iterator[Broken]:
    """Packed words and tables of fixed size come out whole: FieldDesc's second word, buckets of hash maps, allocation contexts."""
    mask, shift, most = (_constant(layout, f"FieldDesc.{name}") for name in ("OffsetMask", "ElementTypeShift", "MaximumOffset"))
    if mask is not None and shift is not None and not (shift < WORD_BITS and mask + 1 == 1 << shift):
        yield _broken(
            ["FieldDesc.ElementTypeShift", "FieldDesc.OffsetMask"], f"FieldDesc.ElementTypeShift: {shift}, while OffsetMask is {mask:#x}"
        )
    if mask is not None and most is not None and most != mask - OFFSETS_NOT_PLACED:
        yield _broken(
            ["FieldDesc.MaximumOffset", "FieldDesc.OffsetMask"], f"FieldDesc.MaximumOffset: {most:#x}, while OffsetMask is {mask:#x}"
        )
    slots, bucket = _constant(layout, "HashMapSlotsPerBucket"), layout.types.get("Bucket")
    if slots is not None and bucket is not None and bucket.size_bytes != 2 * slots * WORD_BYTES:
        yield _broken(["HashMapSlotsPerBucket"], f"Bucket: it has {bucket.size_bytes} bytes, with {slots} slots", "size of Bucket")
    value_mask = _constant(layout, "HashMapValueMask")
    if value_mask is not None and value_mask != (1 << WORD_BITS - 1) - 1:
        yield _broken(["HashMapValueMask"], f"HashMapValueMask: {value_mask:#x} is not all bits but the highest")
    twin, own = _context(layout, "GCAllocContext", "Pointer"), _context(layout, "Generation", "AllocContextPointer")
    if twin is not None and own is not None and twin != own:
        sentence = f"Generation.AllocContextPointer: {own}, while an allocation context elsewhere has {twin}"
        yield Broken(("GCAllocContext.Pointer", "Generation.AllocContextPointer"), sentence)


def _context(layout: Layout, type_name: str, field: str) -> int | None:
    return layout.types[type_name].fields[field].offset if layout.has(type_name, field) else None


def _handle_segments(layout: Layout) -> Iterator[Broken]:
    """_TableSegmentHeader (handletablepriv.h): five bytes for each block, a bit for each handle, three tables of a byte for each block, two
    tables of a byte and one of counts for each kind that there is room for, and two pointers; handles fill 64 KiB from a page on.
    """
    blocks, per_block = _constant(layout, "HandleTable.BlocksPerSegment"), _constant(layout, "HandleTable.HandlesPerBlock")
    known = layout.types.get("TableSegment")
    if (
        blocks is None
        or per_block is None
        or known is None
        or not {"BlockType", "UserData", "NextSegment", "Values"} <= known.fields.keys()
    ):
        return
    counts = ["HandleTable.BlocksPerSegment", "HandleTable.HandlesPerBlock"]
    start, kinds = known.fields["Values"].offset, len(layout.handle_kinds)
    if start + blocks * per_block * WORD_BYTES != HANDLE_SEGMENT_BYTES:
        sentence = f"TableSegment.Values: {blocks} blocks of {per_block} handles from {start} on do not fill a segment of 64 KiB"
        yield _broken(counts, sentence, "TableSegment.Values")
    types, following = known.fields["BlockType"].offset, known.fields["NextSegment"].offset
    if types != blocks * 5 + blocks * per_block // 8:
        yield _broken(
            counts, f"TableSegment.BlockType: it begins at {types}, with {blocks} blocks of {per_block} handles", "TableSegment.BlockType"
        )
    behind = following - known.fields["UserData"].offset - 2 * blocks
    # One kind is for user data (HANDLE_MAX_PUBLIC_TYPES), and to 7.0 one was left free.
    if behind not in (_KIND_BYTES * (kinds + 1), _KIND_BYTES * (kinds + 2)):
        sentence = f"TableSegment.NextSegment: it begins at {following}, with {blocks} blocks and {kinds} kinds of handles"
        yield _broken([counts[0]], sentence, "TableSegment.NextSegment", "TableSegment.UserData")


def _returns(layout: Layout) -> Iterator[Broken]:
    """Since GcInfo does not tell what a method returns, it tells what the caller's registers hold behind a call (gcinfo.h, 10.0)."""
    told, gc_info = layout.contracts.get("HijackedReturn"), _constant(layout, "GCInfoVersion")
    if told is not None and gc_info is not None and (told == "caller") != (gc_info >= _WITHOUT_RETURN_KINDS):
        sentence = f"HijackedReturn: the {told} tells what a method returns, with GcInfo of version {gc_info}"
        yield _broken(["GCInfoVersion"], sentence, "contract HijackedReturn")


def _frame_classes(layout: Layout) -> Iterator[Broken]:
    """Classes of Frames are numbered in a row from 1 on (FrameIdentifier, frames.h), as their vtables are in g_dacTable (vptr_list.h)."""
    marks = {name: value for name, value in layout.constants.items() if name.endswith(_MARK)}
    vtables = {name: value for name, value in layout.constants.items() if name.startswith(_VTABLE)}
    for known, first in ((marks, 1), (vtables, min(vtables.values(), default=0))):
        values = sorted(known.values())
        if values != list(range(first, first + len(values))):
            last = min(values[-1], first + len(values) - 1)
            lacking = sorted(set(range(first, last)) - set(values))
            at_fault = [name for name, value in known.items() if not first <= value <= last or values.count(value) > 1]
            at_fault += [name for name, value in known.items() if any(abs(value - hole) == 1 for hole in lacking)]
            yield _broken(list(dict.fromkeys(at_fault)), f"{at_fault[0]}: the classes of Frames are not numbered in a row: {values}")
