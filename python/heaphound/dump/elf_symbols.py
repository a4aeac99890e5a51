"""Dynamic symbols of a loaded ELF image, looked up through the pages that the dump holds.

createdump leaves in a small dump only those pages of .gnu.hash, .dynsym and .dynstr that its own look-ups touched, so a
look-up here reads no more than one has to: one bucket, its chain, and the names whose hash is equal.
Formats: System V gABI chapter 5; .gnu.hash as in glibc's elf/dl-lookup.c.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed
from heaphound.limits import LIMITS

DT_HASH, DT_STRTAB, DT_SYMTAB, DT_GNU_HASH = 4, 5, 6, 0x6FFFFEF5
_SYMBOL_BYTES = 24


def gnu_hash(name: bytes) -> int:
    """The hash of .gnu.hash: h * 33 + c over 32 bits, from 5381."""
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def sysv_hash(name: bytes) -> int:
    """The hash of DT_HASH (gABI, "Hash Table")."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value


@dataclass(frozen=True, slots=True)
class DynamicSymbols:
    """The symbol tables of one image. Table addresses are absolute, None where the dynamic section has no such entry."""

    memory: Memory
    bias: int
    names: int
    symbols: int
    gnu_hash: int | None
    sysv_hash: int | None

    def find(self, name: str) -> int | None:
        """The address of the defined symbol `name`, None when the image defines no such one.

        Raises `Unreadable` when the dump lacks a page that the answer needs, `Malformed` for broken tables.
        """
        wanted = name.encode()
        if self.gnu_hash is not None:
            return self._find_gnu(wanted, self.gnu_hash)
        if self.sysv_hash is not None:
            return self._find_sysv(wanted, self.sysv_hash)
        return self._find_linear(wanted)

    def count(self) -> int:
        """How many symbols the table has: by the hash table, which says it, or by where its longest chain ends. Raises as `find` does."""
        memory = self.memory
        if self.sysv_hash is not None:
            return memory.u32(self.sysv_hash + 4)
        if self.gnu_hash is None:
            return (self.names - self.symbols) // _SYMBOL_BYTES  # as in _find_linear
        buckets, first, bloom_words = memory.u32(self.gnu_hash), memory.u32(self.gnu_hash + 4), memory.u32(self.gnu_hash + 8)
        if buckets > LIMITS.dynamic_symbols:
            raise Malformed(f"the symbol hash table at {self.gnu_hash:#x} has {buckets} buckets")
        table = self.gnu_hash + 16 + 8 * bloom_words
        last = max(unpack(f"<{buckets}I", memory.bytes(table, 4 * buckets)), default=0)
        if last < first:
            return first
        for index in range(last, last + LIMITS.gnu_hash_chain):
            if memory.u32(table + 4 * buckets + 4 * (index - first)) & 1:
                return index + 1
        raise LimitExceeded(f"a chain of the symbol hash table at {self.gnu_hash:#x} has no end within {LIMITS.gnu_hash_chain} symbols")

    def _find_gnu(self, name: bytes, table: int) -> int | None:
        memory = self.memory
        bucket_count, first_symbol, bloom_words = memory.u32(table), memory.u32(table + 4), memory.u32(table + 8)
        if bucket_count == 0:
            raise Malformed(f"the symbol hash table at {table:#x} has no buckets")
        buckets = table + 16 + 8 * bloom_words
        chains = buckets + 4 * bucket_count
        wanted = gnu_hash(name)
        index = memory.u32(buckets + 4 * (wanted % bucket_count))
        if index == 0:
            return None
        if index < first_symbol:
            raise Malformed(f"bucket {wanted % bucket_count} of the symbol hash table at {table:#x} begins before its first symbol")
        for step in range(LIMITS.gnu_hash_chain):
            entry = memory.u32(chains + 4 * (index + step - first_symbol))
            if entry | 1 == wanted | 1:
                address = self._match(index + step, name)
                if address is not None:
                    return address
            if entry & 1:
                return None
        raise LimitExceeded(f"a chain of the symbol hash table at {table:#x} has no end within {LIMITS.gnu_hash_chain} symbols")

    def _find_sysv(self, name: bytes, table: int) -> int | None:
        memory = self.memory
        bucket_count, chain_count = memory.u32(table), memory.u32(table + 4)
        if bucket_count == 0 or chain_count > LIMITS.dynamic_symbols:
            raise Malformed(f"the symbol hash table at {table:#x} has {bucket_count} buckets and {chain_count} chains")
        chains = table + 8 + 4 * bucket_count
        index = memory.u32(table + 8 + 4 * (sysv_hash(name) % bucket_count))
        for _ in range(chain_count):
            if index == 0:
                return None
            address = self._match(index, name)
            if address is not None:
                return address
            index = memory.u32(chains + 4 * index)
        raise Malformed(f"a chain of the symbol hash table at {table:#x} runs in a circle")

    def _find_linear(self, name: bytes) -> int | None:
        # Without a hash table nothing counts the symbols; every linker lays .dynstr right behind .dynsym.
        count = (self.names - self.symbols) // _SYMBOL_BYTES
        if not 0 < count <= LIMITS.dynamic_symbols:
            raise Malformed(f"the symbols at {self.symbols:#x} have no hash table and no end")
        found = (self._match(index, name) for index in range(1, count))
        return next((address for address in found if address is not None), None)

    def _match(self, index: int, name: bytes) -> int | None:
        """The address of symbol `index` when it has this name and is defined in the image."""
        symbol = self.symbols + _SYMBOL_BYTES * index
        start = self.names + self.memory.u32(symbol)
        if self.memory.bytes(start, len(name) + 1) != name + b"\0":
            return None
        return self.bias + self.memory.u64(symbol + 8) if self.memory.u16(symbol + 6) else None


def read_dynamic_symbols(memory: Memory, dynamic: int, size_bytes: int, bias: int, span: range) -> DynamicSymbols | None:
    """The tables that the dynamic section at `dynamic` names; None when it names no symbols.

    glibc writes absolute addresses over the linked ones when it loads an image, musl and the kernel's vdso leave them; an
    address inside `span` (the image in memory) is taken as it is, any other gets `bias` added. Raises `Unreadable`.
    """
    entries: dict[int, int] = {}
    for index in range(min(size_bytes // 16, LIMITS.dynamic_entries)):
        tag, value = memory.words(dynamic + 16 * index, 2)
        if tag == 0:
            break
        entries.setdefault(tag, value)

    def located(tag: int) -> int | None:
        value = entries.get(tag)
        return value if value is None or value in span else value + bias

    names, symbols = located(DT_STRTAB), located(DT_SYMTAB)
    if names is None or symbols is None:
        return None
    return DynamicSymbols(memory, bias, names, symbols, located(DT_GNU_HASH), located(DT_HASH))
