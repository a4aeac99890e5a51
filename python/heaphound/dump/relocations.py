"""What the dynamic loader wrote into an image's read-only-after-relocation pages, computed again from the file.

Only the relative relocations (bias + addend) are known without the other images. A word with any other relocation is
left out, so that reading it stays `Unreadable` rather than wrong.
Formats: gABI "Relocation"; DT_RELR as proposed in generic-abi and implemented in glibc's elf/dynamic-link.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import iter_unpack, pack_into, unpack_from

from heaphound.dump.elf_image import PT_DYNAMIC, ElfHeaders, ReadAt
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

_DT_PLTRELSZ, _DT_RELA, _DT_RELASZ, _DT_JMPREL, _DT_RELRSZ, _DT_RELR = 2, 7, 8, 23, 35, 36
_RELATIVE = {62: 8, 183: 1027}  # R_X86_64_RELATIVE, R_AARCH64_RELATIVE by e_machine
_NONE = (0, 256)


@dataclass(frozen=True, slots=True)
class Relocations:
    """By linked address: `relative` gives the addend (None: the word in the file is the addend), `unknown` the rest."""

    relative: dict[int, int | None]
    unknown: frozenset[int]


def read_relocations(headers: ElfHeaders, read: ReadAt, where: str) -> Relocations:
    """All dynamic relocations of the image; `read` takes linked addresses. Raises `Malformed` and what `read` raises."""
    dynamic = headers.first(PT_DYNAMIC)
    if dynamic is None:
        return Relocations({}, frozenset())
    entries: dict[int, int] = {}
    for tag, value in iter_unpack("<QQ", read(dynamic.address, dynamic.file_bytes // 16 * 16)):
        if tag == 0:
            break
        entries.setdefault(tag, value)
    relative: dict[int, int | None] = {}
    unknown: set[int] = set()
    for table, size in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
        if table in entries and entries.get(size):
            _bounded(entries[size] // 24, where)
            for address, info, addend in iter_unpack("<QQq", read(entries[table], entries[size] // 24 * 24)):
                kind = info & 0xFFFFFFFF
                if kind == _RELATIVE.get(headers.machine):
                    relative[address] = addend
                elif kind not in _NONE:
                    unknown.add(address)
    if _DT_RELR in entries and entries.get(_DT_RELRSZ):
        _bounded(entries[_DT_RELRSZ] // 8, where)
        relative.update(dict.fromkeys(_unpack_relr(read(entries[_DT_RELR], entries[_DT_RELRSZ] // 8 * 8), where)))
    return Relocations(relative, frozenset(unknown - relative.keys()))


def relocate(data: bytes, address: int, bias: int, relocations: Relocations) -> list[tuple[int, bytes]]:
    """`data` of the image at linked `address`, as the process had it: (linked address, bytes) without the unknown words."""
    image = bytearray(data)
    end = address + len(data)
    for slot, addend in relocations.relative.items():
        if address <= slot <= end - 8:
            value = addend if addend is not None else unpack_from("<Q", image, slot - address)[0]
            pack_into("<Q", image, slot - address, (bias + value) % (1 << 64))
    pieces: list[tuple[int, bytes]] = []
    start = address
    for slot in sorted(slot for slot in relocations.unknown if address - 8 < slot < end):
        if slot > start:
            pieces.append((start, bytes(image[start - address : slot - address])))
        start = max(start, slot + 8)
    if start < end:
        pieces.append((start, bytes(image[start - address :])))
    return pieces


def _bounded(count: int, where: str) -> None:
    if count > LIMITS.relocation_entries:
        raise LimitExceeded(f"the ELF image {where} has {count} relocations in one table, at most {LIMITS.relocation_entries}")


def _unpack_relr(table: bytes, where: str) -> list[int]:
    """The addresses of a packed relative table: an even word is an address, an odd one a bitmap of the 63 words after it."""
    slots: list[int] = []
    following: int | None = None
    for (word,) in iter_unpack("<Q", table):
        if not word & 1:
            slots.append(word)
            following = word + 8
            continue
        if following is None:
            raise Malformed(f"the packed relocations of the ELF image {where} begin with a bitmap")
        slots.extend(following + 8 * bit for bit in range(63) if word >> (bit + 1) & 1)
        following += 8 * 63
    return slots
