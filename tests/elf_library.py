"""Builds the bytes of a small ELF shared library: headers, build-id, dynamic symbols, relocations. File and memory layout are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack

from heaphound.dump.elf_symbols import gnu_hash, sysv_hash

PAGE = 4096
MACHINES = {"x64": 62, "arm64": 183}
_RELATIVE = {"x64": 8, "arm64": 1027}
GLOB_DAT = {"x64": 6, "arm64": 1025}
DATA_OFFSET = 2 * PAGE  # the writable, after relocation protected, segment


def align(data: bytes, to: int) -> bytes:
    """`data` with zeros up to a multiple of `to`."""
    return data + bytes(-len(data) % to)


def note(owner: bytes, kind: int, data: bytes) -> bytes:
    """One ELF note, name and data padded to 4 bytes."""
    name = owner + b"\0"
    return pack("<III", len(name), len(data), kind) + align(name, 4) + align(data, 4)


def elf_library(
    symbols: Mapping[str, int],
    *,
    machine: str = "x64",
    build_id: bytes | None = b"\x11" * 20,
    hash_table: str | None = "gnu",
    relative: Mapping[int, int] | None = None,
    imported: Sequence[int] = (),
    linked_at: int = 0,
) -> bytes:
    """Page 0: headers, build-id. Page 1: symbol tables, relocations. Page 2: .dynamic, then words that `relative` ({offset in
    page: addend}) and `imported` (offsets in page) relocate.

    `hash_table`: "gnu", "sysv" or None. `symbols` are linked addresses; names of the value 0 stay undefined.
    `linked_at`: address of file offset 0, as of a program at a fixed place.
    """
    names, table = _symbol_tables(symbols, hash_table)
    tables = {"symtab": table, "strtab": names}
    if hash_table == "gnu":
        tables["hash"] = _gnu_table([name for name in _order(symbols, hash_table) if symbols[name]], symbols)
    elif hash_table == "sysv":
        tables["hash"] = _sysv_table(_order(symbols, hash_table))
    slots = [(linked_at + DATA_OFFSET + slot, _RELATIVE[machine], addend) for slot, addend in (relative or {}).items()]
    slots += [(linked_at + DATA_OFFSET + slot, 1 << 32 | GLOB_DAT[machine], 0) for slot in imported]
    tables["rela"] = b"".join(pack("<QQq", *slot) for slot in slots)
    middle, places = b"", {}
    for name in ("hash", "symtab", "strtab", "rela"):
        if name in tables:
            places[name] = linked_at + PAGE + len(middle)
            middle = align(middle + tables[name], 8)
    assert len(middle) <= PAGE
    dynamic = [(5, places["strtab"]), (6, places["symtab"]), (10, len(names)), (11, 24), (7, places["rela"]), (8, len(tables["rela"]))]
    if hash_table is not None:
        dynamic.insert(0, (0x6FFFFEF5 if hash_table == "gnu" else 4, places["hash"]))
    data = b"".join(pack("<QQ", *entry) for entry in [*dynamic, (0, 0)])
    identity = b"" if build_id is None else note(b"GNU", 3, build_id)
    head = _headers(machine, linked_at, len(data), len(identity)) + identity
    return align(head, PAGE) + align(middle, PAGE) + align(data, PAGE)


def _headers(machine: str, linked_at: int, dynamic_size: int, note_size: int) -> bytes:
    headers_size = 64 + 5 * 56
    data = linked_at + DATA_OFFSET
    segments = [
        (1, 5, 0, linked_at, DATA_OFFSET, DATA_OFFSET, PAGE),
        (1, 6, DATA_OFFSET, data, PAGE, PAGE + 0x800, PAGE),
        (2, 6, DATA_OFFSET, data, dynamic_size, dynamic_size, 8),
        (4, 4, headers_size, linked_at + headers_size, note_size, note_size, 4),
        (0x6474E552, 4, DATA_OFFSET, data, PAGE, PAGE, 1),
    ]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + pack("<HHIQQQIHHHHHH", 3, MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    rows = [pack("<IIQQQQQQ", kind, flags, offset, at, at, size, memory, page) for kind, flags, offset, at, size, memory, page in segments]
    return header + b"".join(rows)


def _order(symbols: Mapping[str, int], hash_table: str | None) -> list[str]:
    """Undefined symbols first, then by bucket as .gnu.hash wants them."""
    undefined = [name for name, value in symbols.items() if not value]
    defined = [name for name, value in symbols.items() if value]
    if hash_table == "gnu":
        count = _buckets(len(defined))
        defined.sort(key=lambda name: gnu_hash(name.encode()) % count)
    return undefined + defined


def _buckets(count: int) -> int:
    return max(1, count // 2)


def _symbol_tables(symbols: Mapping[str, int], hash_table: str | None) -> tuple[bytes, bytes]:
    names, table = b"\0", bytes(24)
    for name in _order(symbols, hash_table):
        value = symbols[name]
        table += pack("<IBBHQQ", len(names), 0x12, 0, 1 if value else 0, value, 8)
        names += name.encode() + b"\0"
    return names, table


def _gnu_table(defined: Sequence[str], symbols: Mapping[str, int]) -> bytes:
    first = 1 + len(symbols) - len(defined)
    count = _buckets(len(defined))
    hashes = [gnu_hash(name.encode()) for name in defined]
    buckets = [next((first + i for i, value in enumerate(hashes) if value % count == bucket), 0) for bucket in range(count)]
    chain = []
    for index, value in enumerate(hashes):
        last = index + 1 == len(hashes) or hashes[index + 1] % count != value % count
        chain.append(value & ~1 | last)
    return pack("<IIIIQ", count, first, 1, 6, (1 << 64) - 1) + pack(f"<{count}I", *buckets) + pack(f"<{len(chain)}I", *chain)


def _sysv_table(names: Sequence[str]) -> bytes:
    count = _buckets(len(names))
    buckets, chain = [0] * count, [0] * (len(names) + 1)
    for index, name in enumerate(names, start=1):
        bucket = sysv_hash(name.encode()) % count
        chain[index], buckets[bucket] = buckets[bucket], index
    return pack("<II", count, len(chain)) + pack(f"<{count}I", *buckets) + pack(f"<{len(chain)}I", *chain)
