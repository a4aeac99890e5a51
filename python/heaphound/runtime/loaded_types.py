"""All types that a process has loaded: the definitions in each module's map, and the instantiations and arrays in its hash table.

A table `Module::m_pAvailableParamTypes` (EETypeHashTable, src/coreclr/vm/typehash.h over dacenumerablehash.h) holds every instantiation,
array and pointer type that the module owns. Up to 6 the table counts its buckets itself; since 7 the bucket array starts with its length
and the next array while it grows; since 8 an end sentinel follows them, and a bucket's chain ends in an odd number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heaphound.dump.memory import Memory
from heaphound.errors import LimitExceeded, Malformed, Unreadable
from heaphound.layouts.schema import Layout
from heaphound.limits import LIMITS
from heaphound.runtime.lookup_maps import LookupMaps
from heaphound.runtime.modules import Module
from heaphound.runtime.typedesc import array_method_table

# dacenumerablehash.h, SKIP_SPECIAL_SLOTS: length, next bucket array and, since dotnet/runtime#88063 of 2023, end sentinel
_SPECIAL_SLOTS = {"length-first": 2, "sentinel": 3}
_GROWING_ARRAYS = 64  # bucket arrays in a chain: each is at least twice the one before


@dataclass(frozen=True, slots=True)
class LoadedTypesGap:
    """A module whose types could not all be listed, and why."""

    module: str
    reason: str


class LoadedTypes:
    """Lists MethodTables of modules; what cannot be read is kept in `gaps`."""

    def __init__(self, memory: Memory, layout: Layout, maps: LookupMaps) -> None:
        self._memory = memory
        self._layout = layout
        self._maps = maps
        self._desc_bit = layout.constant("TypeHandle.TypeDescBit")
        self.gaps: list[LoadedTypesGap] = []

    def of_modules(self, modules: Iterable[Module]) -> set[int]:
        """MethodTables that the modules define or own."""
        found: set[int] = set()
        for module in modules:
            for source in (self._definitions, self._instantiations):
                try:
                    found.update(source(module))
                except (Unreadable, Malformed) as error:
                    self.gaps.append(LoadedTypesGap(module.name, str(error)))
        return found

    def _definitions(self, module: Module) -> Iterator[int]:
        table = module.address + self._layout.offset("Module", "TypeDefToMethodTableMap")
        return (address for _, address in self._maps.items(table))

    def _instantiations(self, module: Module) -> Iterator[int]:
        if not self._layout.has("Module", "AvailableTypeParams"):
            return
        table = self._memory.pointer(module.address + self._layout.offset("Module", "AvailableTypeParams"))
        for handle in self.handles(table, module.address) if table else ():
            array = array_method_table(self._memory, self._layout, handle & ~self._desc_bit) if handle & self._desc_bit else handle
            if array is not None:
                yield array

    def handles(self, table: int, module: int) -> Iterator[int]:
        """TypeHandles in a hash table. Raises Unreadable, LimitExceeded, Malformed (a chain that is longer than the table's count)."""
        if self._memory.pointer(table + self._layout.offset("EETypeHashTable", "Module")) != module:
            raise Malformed(f"self-check EETypeHashTable.Module: the class hash table at {table:#x} is not that of module {module:#x}")
        left = self._memory.u32(table + self._layout.offset("EETypeHashTable", "Count"))
        if left > LIMITS.loaded_types:
            raise LimitExceeded(f"the class hash table at {table:#x} claims {left} entries")
        value = self._layout.offset("EETypeHashTable", "VolatileEntryValue")
        following = self._layout.offset("EETypeHashTable", "VolatileEntryNextEntry")
        for entry in self._chains(table):
            while entry and not entry & 1:
                if left < 0:
                    raise Malformed(f"the class hash table at {table:#x} has a chain that does not end")
                left -= 1
                handle = self._memory.pointer(entry + value) & ~1  # bit 0 marked hot entries of images made by NGEN
                if handle:
                    yield handle
                entry = self._memory.pointer(entry + following)

    def _chains(self, table: int) -> Iterator[int]:
        """First entry of each bucket."""
        buckets = self._memory.pointer(table + self._layout.offset("EETypeHashTable", "Buckets"))
        if self._layout.has("EETypeHashTable", "BucketCount"):
            yield from self._words(buckets, self._memory.u32(table + self._layout.offset("EETypeHashTable", "BucketCount")))
            return
        contract = self._layout.contract("HashTable")
        if contract not in _SPECIAL_SLOTS:
            raise Malformed(f"self-check EETypeHashTable: a table of the kind {contract} says itself how many buckets it has")
        for _ in range(_GROWING_ARRAYS):
            if not buckets:
                return
            length, next_array = self._memory.words(buckets, 2)
            yield from self._words(buckets + 8 * _SPECIAL_SLOTS[str(contract)], length)
            buckets = next_array
        raise Malformed(f"the class hash table at {table:#x} has bucket arrays that form a loop")

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        if count > LIMITS.hash_buckets:
            raise LimitExceeded(f"the bucket array at {address:#x} claims {count} buckets")
        return self._memory.words(address, count)
