"""Which tracked slots are live: at a call site, or at an offset of fully interruptible code.

GcInfoDecoder::EnumerateLiveSlots, src/coreclr/vm/gcinfodecoder.cpp. Both forms may be run-length encoded.
"""

from heaphound.errors import Malformed
from heaphound.runtime.gc_info.bits import BitReader
from heaphound.runtime.gc_info.encoding import GcInfoEncoding

_POINTER_BITS = 64  # more than any offset in GcInfo has


def live_at_safe_point(reader: BitReader, encoding: GcInfoEncoding, index: int, count: int, slots: int) -> list[int]:
    """Numbers of the live slots at call site `index` of `count`; the reader stands after the slot table."""
    if not reader.flag():
        reader.skip(index * slots)
        return _bit_vector(reader, slots)
    bits = reader.unsigned(encoding.pointer_size_base) + 1
    table = reader.position
    reader.skip(index * bits)
    offset = reader.read(bits)
    reader.position = _byte_aligned(table + count * bits) + offset
    return _slot_set(reader, encoding, slots)


def live_in_range(
    reader: BitReader, encoding: GcInfoEncoding, safe_points: int, slots: int, offset: int, interruptible_length: int
) -> list[int]:
    """Numbers of the live slots at `offset` of the interruptible ranges laid end to end; the reader stands after the slot table."""
    if safe_points:
        if reader.flag():
            reader.unsigned(encoding.pointer_size_base)  # as the runtime does: such methods have no ranges beside call sites
        reader.skip(safe_points * slots)
    chunk_size = 1 << encoding.chunk_offset_bits
    chunk_count = -(-interruptible_length // chunk_size)
    bits = reader.unsigned(encoding.pointer_size_base)
    if not bits:
        return []
    table = reader.position
    wanted = offset // chunk_size
    chunk, pointer = _chunk_at_or_before(reader, table, bits, wanted)
    if not pointer:
        return []
    reader.position = _byte_aligned(table + chunk_count * bits) + pointer - 1
    candidates = _slot_set(reader, encoding, slots)
    final = [reader.flag() for _ in candidates]
    if chunk != wanted:
        return [slot for slot, live in zip(candidates, final, strict=True) if live]
    found = []
    for slot, live_at_end in zip(candidates, final, strict=True):
        if live_at_end ^ _odd_transitions_after(reader, encoding, offset % chunk_size):
            found.append(slot)
    return found


def _chunk_at_or_before(reader: BitReader, table: int, bits: int, wanted: int) -> tuple[int, int]:
    """(number, pointer) of the last chunk up to `wanted` that is stored: a chunk without changes is not. (_, 0) if there is none."""
    if bits > _POINTER_BITS:
        raise Malformed(f"GcInfo has pointers of {bits} bits to its chunks")
    reader.position = table
    pointers = reader.table((wanted + 1) * bits)
    if not pointers:
        return 0, 0
    chunk = (pointers.bit_length() - 1) // bits
    return chunk, pointers >> chunk * bits


def _odd_transitions_after(reader: BitReader, encoding: GcInfoEncoding, offset: int) -> bool:
    """Whether the slot changes an odd number of times between `offset` and the end of the chunk."""
    odd = False
    for _ in range(1 << encoding.chunk_offset_bits):
        if not reader.flag():
            return odd
        if reader.read(encoding.chunk_offset_bits) > offset:
            odd = not odd
    raise Malformed("GcInfo has a slot that changes more often than its chunk has offsets")


def _slot_set(reader: BitReader, encoding: GcInfoEncoding, slots: int) -> list[int]:
    """A set of slots: one bit each, or runs of absent and present ones in turn."""
    if not reader.flag():
        return _bit_vector(reader, slots)
    skip = not reader.flag()
    at = reader.unsigned(encoding.skip_base if skip else encoding.run_base)
    found: list[int] = []
    present = True
    while at < slots:
        skip = not skip
        length = reader.unsigned(encoding.skip_base if skip else encoding.run_base) + 1
        if at + length > slots:
            raise Malformed(f"GcInfo has a run of slots up to {at + length}, but {slots} slots")
        if present:
            found.extend(range(at, at + length))
        at += length
        present = not present
    return found


def _bit_vector(reader: BitReader, slots: int) -> list[int]:
    return [slot for slot in range(slots) if reader.flag()]


def _byte_aligned(position: int) -> int:
    return (position + 7) & ~7
